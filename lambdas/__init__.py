"""The Lambda functions: one folder each, with a handler and its settings."""
