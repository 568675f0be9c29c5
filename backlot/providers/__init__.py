"""The only outgoing HTTP: paid APIs, and the safe fetching of images."""
