"""The worker of the paid lane."""
