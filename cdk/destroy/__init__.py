"""Deletes a stage, `make destroy STAGE=dev`, and says what is left of it and why."""
