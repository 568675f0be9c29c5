"""Measurements of a deployment in local mode; `python -m bench` takes them all. See docs/performance.md."""
