"""What this device can bear, and what runs on it because of that."""
