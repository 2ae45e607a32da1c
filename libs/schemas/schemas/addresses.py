"""How a database is addressed."""


def driver_url(url: str) -> str:
    """Return the URL with SQLAlchemy's name of our driver in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0].replace('postgres', 'postgresql', scheme == 'postgres')}+asyncpg://{rest}"
