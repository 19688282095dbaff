"""Jobs over thousands of accounts.

The floors inside, from the bottom: `accounts` reads the list, `plan` cuts it into batches with an
idempotency key each, `results` says of an account what came of it, `batches` keeps track of one
batch, `job` carries a plan out, `progress` counts what the job reports on its way, `summary` counts
what came of it, and `writer` writes a row per account. Only `job` does anything asynchronous, and
only through the client that it is given.
"""
