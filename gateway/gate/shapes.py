"""Small words that all modules of the gate speak: JSON documents and Envoy's typed configurations."""

from typing import Any

type_prefix = "type.googleapis.com/envoy."

# A JSON document or a piece of one. Envoy's configuration and OpenAPI are both checked by their own
# validators, so nothing is gained by a class per message.
Doc = dict[str, Any]


def typed(name: str, /, **fields: Any) -> Doc:  # noqa: ANN401 - fields of any Envoy message
    """Return a `typed_config`: `name` is the message's full name without the leading `envoy.`."""
    return {"@type": type_prefix + name, **fields}


def extension(name: str, message: str, /, **fields: Any) -> Doc:  # noqa: ANN401
    """Return a named extension with its typed configuration."""
    return {"name": name, "typed_config": typed(message, **fields)}


def seconds(value: float) -> str:
    """Return a duration as Envoy reads it."""
    return f"{value:g}s"
