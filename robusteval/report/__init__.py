"""Reports: drawn from rows alone."""
