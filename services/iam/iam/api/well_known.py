"""What anybody may know about our tokens and decisions (RFC 8414, RFC 7517, AuthZEN 1.0)."""

from typing import Annotated, Any

from fastapi import Response

from chassis.http import doors, given, public
from iam.domain.session import Issuer
from iam.usecases.keys import SigningKeys

router = doors("/.well-known", "well-known")
_AGE = "public, max-age=300"


@router.get("/jwks.json", **public())
async def jwks(
    response: Response, keys: Annotated[SigningKeys, given(SigningKeys)]
) -> dict[str, Any]:
    """Return the public keys that access tokens may be signed with."""
    response.headers["cache-control"] = _AGE
    return {"keys": keys.published()}


@router.get("/openid-configuration", **public())
async def configuration(
    response: Response, issuer: Annotated[Issuer, given(Issuer)]
) -> dict[str, Any]:
    """Return where tokens come from and how they are signed."""
    response.headers["cache-control"] = _AGE
    return {
        "issuer": issuer.name,
        "jwks_uri": f"{issuer.name}/.well-known/jwks.json",
        "token_endpoint": f"{issuer.name}/api/v1/auth/token",
        "grant_types_supported": ["password", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "response_types_supported": [],
    }


@router.get("/authzen-configuration", **public())
async def decisions(response: Response, issuer: Annotated[Issuer, given(Issuer)]) -> dict[str, Any]:
    """Return where decisions are asked for (AuthZEN 1.0, 9). Searches are not among them."""
    response.headers["cache-control"] = _AGE
    return {
        "policy_decision_point": issuer.name,
        "access_evaluation_endpoint": f"{issuer.name}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{issuer.name}/access/v1/evaluations",
    }
