"""SCHP: human parsing with the CE2P network on ResNet-101."""
