"""Kernels in C for 8-bit convolutions."""
