"""The card of an agent as A2A 1.0 has it (specification/a2a.proto, message AgentCard, in its JSON form).

A card is checked field by field and kept as it was given: were it written anew, its signatures would no longer hold.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from chassis.http import Body

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Prose = Annotated[str, StringConstraints(max_length=8192)]
Link = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$", max_length=2048)]
Mode = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+$", max_length=127),
]
Modes = Annotated[list[Mode], Field(min_length=1, max_length=32)]
Sealed = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=16384)]
Anything = dict[str, Any]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
SCHEMES = (
    "apiKeySecurityScheme",
    "httpAuthSecurityScheme",
    "oauth2SecurityScheme",
    "openIdConnectSecurityScheme",
    "mtlsSecurityScheme",
)


class Part(Body):
    """A part of a card: its fields are spelled in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True)


class Interface(Part):
    """Where and how the agent is spoken to."""

    url: Link
    protocol_binding: Word
    protocol_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$", max_length=16)]
    tenant: Word | None = None


class Provider(Part):
    """Who runs the agent."""

    url: Link
    organization: Word


class Extension(Part):
    """An extension of the protocol that the agent has."""

    uri: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    description: Prose = ""
    required: bool = False
    params: Anything = Field(default_factory=dict)


class Capabilities(Part):
    """What the agent can do beyond answering."""

    streaming: bool = False
    push_notifications: bool = False
    extended_agent_card: bool = False
    extensions: Annotated[list[Extension], Field(max_length=32)] = Field(default_factory=list)


class Scopes(Part):
    """Scopes, as the standard wraps them."""

    list_: Annotated[list[Word], Field(max_length=64, alias="list")] = Field(default_factory=list)


class Requirement(Part):
    """Schemes that are needed together, and their scopes."""

    schemes: Annotated[dict[Name, Scopes], Field(max_length=16)]


Requirements = Annotated[list[Requirement], Field(max_length=32)]


class Skill(Part):
    """One thing that the agent is good at."""

    id: Word
    name: Word
    description: Prose
    tags: Annotated[list[Word], Field(max_length=64)]
    examples: Annotated[list[Prose], Field(max_length=32)] = Field(default_factory=list)
    input_modes: Modes | None = None
    output_modes: Modes | None = None
    security_requirements: Requirements = Field(default_factory=list)


class Signature(Part):
    """A JSON Web Signature over the card (RFC 7515)."""

    protected: Sealed
    signature: Sealed
    header: Anything = Field(default_factory=dict)


class Card(Part):
    """An A2A 1.0 agent card."""

    name: Word
    description: Prose
    version: Word
    supported_interfaces: Annotated[list[Interface], Field(min_length=1, max_length=32)]
    capabilities: Capabilities
    default_input_modes: Modes
    default_output_modes: Modes
    skills: Annotated[list[Skill], Field(max_length=128)]
    provider: Provider | None = None
    documentation_url: Link | None = None
    icon_url: Link | None = None
    security_schemes: Annotated[dict[Name, Anything], Field(max_length=16)] = Field(
        default_factory=dict
    )
    security_requirements: Requirements = Field(default_factory=list)
    signatures: Annotated[list[Signature], Field(max_length=8)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _schemes_are_of_a_kind(self) -> "Card":
        for name, scheme in self.security_schemes.items():
            if len(scheme) != 1 or next(iter(scheme)) not in SCHEMES:
                raise ValueError(f"security scheme {name!r} must hold one of {', '.join(SCHEMES)}")
        needed = {name for one in self._requirements() for name in one.schemes}
        if unknown := sorted(needed - self.security_schemes.keys()):
            raise ValueError(f"no security scheme is called {unknown[0]!r}")
        return self

    def _requirements(self) -> list[Requirement]:
        return [
            *self.security_requirements,
            *(r for s in self.skills for r in s.security_requirements),
        ]

    def kept(self) -> dict[str, Any]:
        """Return the card as it was given, with nothing filled in."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
