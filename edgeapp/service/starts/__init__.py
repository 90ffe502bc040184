"""How a start came about, whether it went well, and what runs when it did not."""
