"""What we use outside the database: Redis, the processor (password hashes), and cryptography.

passwords  argon2 in a bounded pool of threads     throttle  slows down guessing (Redis, or memory without it)
keyring    signing keys in memory                   seal      encryption at rest
bell       wakes the feeds of other replicas
"""
