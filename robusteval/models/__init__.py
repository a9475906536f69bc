"""Classifiers and their tokenizers: found, opened, checked against a task, saved."""
