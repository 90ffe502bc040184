"""Being a good service: logs, health, systemd."""
