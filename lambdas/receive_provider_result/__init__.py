"""The receiver of the providers' webhooks."""
