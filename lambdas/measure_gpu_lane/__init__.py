"""How much work the GPU lane has, and how many workers for it."""
