"""What several fine-tuning methods are made of: masks, divergences, groups of parameters, optimizers."""
