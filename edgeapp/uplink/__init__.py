"""The one way out of the device: broker connection, outbox, wire format."""
