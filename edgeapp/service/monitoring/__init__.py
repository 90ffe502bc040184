"""How the device is, for those who watch over it."""
