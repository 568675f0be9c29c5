"""Stand-ins of the paid APIs: real wire protocols over real sockets, classical methods instead of models."""
