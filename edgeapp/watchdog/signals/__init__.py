"""What each kind of the kernel's files says, read with doubt; `watchdog.readings` puts it together."""
