"""What the user wrote, validated: pipeline files and the device file."""
