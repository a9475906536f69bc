"""Figures: drawn from rows and predictions alone, one file each."""
