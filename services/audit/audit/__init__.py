"""The audit service: the append-only record of who did what, when and why.

Rooms, from the inside out: domain → ports → usecases → store, api → main.
"""
