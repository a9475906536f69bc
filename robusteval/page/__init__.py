"""An experiment as one self-contained page: what its first screen says, its parts, and the file."""
