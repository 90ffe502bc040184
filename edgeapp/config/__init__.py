"""Pipeline files and the device file, read and checked for what they say on their own."""
