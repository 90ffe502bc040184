"""Built-in decoders: what turns tensors into payloads."""
