"""What answers TextAttack: predictions in batches, gradients, a cache, and the random numbers in between."""
