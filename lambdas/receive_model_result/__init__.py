"""Takes what models of our own have made."""
