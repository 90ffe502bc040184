"""Public helpers for tests of stages and pipelines, for plugin authors too."""
