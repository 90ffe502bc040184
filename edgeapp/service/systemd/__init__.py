"""What edgeapp and systemd tell each other."""
