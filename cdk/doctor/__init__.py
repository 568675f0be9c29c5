"""Says before a deployment what would go wrong and what to do about it, `make doctor STAGE=dev`; it changes nothing."""
