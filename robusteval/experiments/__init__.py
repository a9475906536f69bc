"""Experiments: a plan of runs, each trained and evaluated once and kept on disk."""
