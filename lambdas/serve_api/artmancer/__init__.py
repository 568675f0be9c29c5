"""What clients of the ArtMancer server are answered; nothing of it is imported before one of them asks."""
