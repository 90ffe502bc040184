"""The model stage: sessions, variants, decoders."""
