"""What came of attacks: the words that changed, likeness of meaning, and frozen sets of adversarial texts."""
