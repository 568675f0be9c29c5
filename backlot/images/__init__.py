"""Pure functions on pixels and on picture sizes."""
