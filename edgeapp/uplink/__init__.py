"""The one way out of the device. Read `sender` first, then `traffic`: what becomes of a message.

`wire` is the envelope, `outbox` keeps messages until the broker has them, `client` speaks MQTT,
`broker` is the embedded one for when none is named, `tap` looks at what devices say.
"""
