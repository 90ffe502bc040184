"""Runs plans. Read `pipeline` first: it is the main flow, top to bottom."""
