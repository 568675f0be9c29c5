"""The deployment as code."""
