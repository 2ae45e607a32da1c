"""Schemas: bring each service's to what its code needs, once, whoever asks; and connections to where they lie.

migrate     what `python -m schemas flags audit` does, and what waits for it
online      what a migration says for what takes long on a table in use
connections a pool of them, opened beside the work that borrows them
addresses   the URL of a database, with SQLAlchemy's name of our driver in it
"""
