"""Schemas: bring each service's to what its code needs, once, whoever asks.

migrate     what `python -m schemas flags audit` does, and what waits for it
addresses   the URL of a database, with SQLAlchemy's name of our driver in it
"""
