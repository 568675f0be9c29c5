"""The stacks: they only wire."""
