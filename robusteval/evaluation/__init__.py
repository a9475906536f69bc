"""Evaluation: fast prediction, metrics, and the suites that a model goes through."""
