"""YAML with places, and complaints that show them. Knows nothing of pipelines."""
