"""Publishes checkpoints of models: `make publish-model MODEL=schp STAGE=dev WEIGHTS=…`; nothing deployed imports it."""
