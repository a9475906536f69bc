"""What recipes need beyond the model: what it is, where it lies, what it holds, and TextAttack led there."""
