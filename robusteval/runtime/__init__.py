"""This machine and this process: devices, memory, signals, workers, progress, generators of random numbers."""
