"""The control socket and the commands over MQTT: how a running application is looked into and steered."""
