"""Faults that AWS allows itself and MiniStack does not show; for tests, each switched on while a file exists."""
