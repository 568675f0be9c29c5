"""ComfyUI: its node classes, its graphs, and its HTTP and WebSocket protocol."""
