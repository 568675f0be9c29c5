"""Hands work to models of our own."""
