"""Messages on the disk, for the durable outbox.

`ledger` knows what is in memory and what has to be written, `journal` is the thread that does it,
`store` says what a store can do, `store_folder` and `sqlite_store` are one. `store_reader` looks at
it from outside.
"""
