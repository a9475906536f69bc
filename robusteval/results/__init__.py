"""What a run leaves: rows, metrics, predictions, and reading them."""
