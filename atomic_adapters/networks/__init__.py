"""Card networks, one module each."""
