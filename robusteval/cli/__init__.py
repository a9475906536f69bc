"""The command line."""

from robusteval.cli.app import main

__all__ = ["main"]
