"""Masks by clicks and boxes with SAM 2.1, and backgrounds removed with IS-Net, U2-Net or BiRefNet."""
