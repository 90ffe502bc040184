"""Built-in outputs: encoders of messages."""
