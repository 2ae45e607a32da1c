"""What is wrong with a document, and where: every reader of rules raises it, every door tells it."""

from typing import Any


class Wrong(ValueError):
    """One thing that makes a document unusable; `pointer` is a JSON pointer from where the reader began."""

    def __init__(self, pointer: str, message: str, code: str = "invalid") -> None:
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer
        self.message = message
        self.code = code

    def below(self, pointer: str) -> "Wrong":
        """Return the same trouble as seen from further out."""
        return Wrong(pointer + self.pointer, self.message, self.code)


def escaped(name: object) -> str:
    """Return a name as a step of a JSON pointer has it."""
    return str(name).replace("~", "~0").replace("/", "~1")


def text(said: dict[str, Any], field: str, longest: int = 1000) -> str:
    """Return a field that has to be a string of 1 to `longest` characters."""
    value = said.get(field)
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise Wrong(f"/{field}", f"must be a string of 1 to {longest} characters")
    return value


def items(said: dict[str, Any], field: str, most: int, least: int = 1) -> list[Any]:
    """Return a field that has to be a list of `least` to `most` items."""
    value: Any = said.get(field, [])
    if not isinstance(value, list):
        raise Wrong(f"/{field}", "must be a list")
    count = len(value)  # type: ignore[reportUnknownArgumentType]
    if not least <= count <= most:
        raise Wrong(f"/{field}", f"must have {least} to {most} items, not {count}", "length")
    return value  # type: ignore[reportUnknownVariableType]


def thing(said: object) -> dict[str, Any]:
    """Return a value that has to be an object."""
    if not isinstance(said, dict):
        raise Wrong("", "must be an object")
    return said  # type: ignore[reportUnknownVariableType]


def listed(value: object) -> list[Any]:
    """Return a value that is a list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []  # type: ignore[reportUnknownVariableType]


def only(said: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse a field that nobody reads: it is a misspelling, or was meant for another version."""
    if strange := said.keys() - known:
        name = min(strange)
        raise Wrong(
            f"/{escaped(name)}", f"is not known here; known are {_listed(known)}", "unknown"
        )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
