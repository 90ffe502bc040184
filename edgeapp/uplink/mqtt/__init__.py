"""One connection to a broker: `client` makes it, `session` is it.

Everything else here is a part of that: which version is spoken, how the way is secured, what the
broker's codes mean. What the uplink needs of a connection is said in `edgeapp.uplink.connection`.
"""
