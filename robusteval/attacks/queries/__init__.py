"""What answers TextAttack: predictions in batches, gradients, a cache, and many attacks in lock-step."""
