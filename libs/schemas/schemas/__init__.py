"""Schemas: bring each service's to what its code needs, once, whoever asks.

migrate     what `python -m schemas flags audit` does, and what waits for it
online      what a migration says for what takes long on a table in use
addresses   the URL of a database, with SQLAlchemy's name of our driver in it
"""
