"""Webhooks to clients."""
