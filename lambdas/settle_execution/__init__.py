"""What happens when an execution has ended."""
