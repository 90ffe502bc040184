"""The governor at work on this device and its pipelines."""
