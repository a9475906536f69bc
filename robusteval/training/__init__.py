"""Training: the loop, its step, its record and its state."""
