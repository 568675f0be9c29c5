"""Models of our own, and the one server that all of them are served by."""
