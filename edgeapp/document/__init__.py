"""YAML with places, and complaints shown to people."""
