"""What a client says it is, in a few words. A user agent is a claim, not a proof, so simple is enough."""

# The first that occurs counts: the more special before what they also claim to be.
_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("Python", "Python"),
    ("Go-http", "Go"),
    ("Java", "Java"),
    ("node", "Node.js"),
    ("okhttp", "OkHttp"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device(user_agent: str) -> str:
    """Return what a person would call the thing behind a user agent: `Firefox on Linux`, `curl`, `unknown`."""
    program = _first(user_agent, _PROGRAMS) or user_agent.partition("/")[0].strip()[:40]
    system = _first(user_agent, _SYSTEMS)
    return " on ".join(filter(None, (program, system))) or "unknown"


def _first(text: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((name for mark, name in table if mark in text), "")
