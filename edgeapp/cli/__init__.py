"""The `edgeapp` command; one small module for each sub-command."""
