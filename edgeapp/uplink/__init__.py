"""The one way out of the device. Read `sender` first, then `traffic`: what becomes of a message.

`wire` is the envelope, `outbox` keeps messages until the broker has them (those of `disk` also
through a power cut), `mqtt` speaks to the broker, `broker` is the embedded one for when none is
named, `tap` looks at what devices say.
"""
