"""The version of this package: part of a run's name and of its record."""

VERSION = "0.1.0"
