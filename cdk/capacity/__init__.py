"""Simulates the GPU lane: wait, cost and lost work of a scaling configuration; `make capacity`, docs/capacity.md."""
