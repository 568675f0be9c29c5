"""Local mode: the emulator of AWS, the stand-ins of what is not AWS, and the demo. Nothing here is deployed."""
