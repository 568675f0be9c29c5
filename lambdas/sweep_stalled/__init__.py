"""What nobody else would find."""
