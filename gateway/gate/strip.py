"""What a client may not say about itself is removed before routing and before every filter.

`request_headers_to_remove` would run too late and delete what the filters put there. Names with
underscores do not get here: the request is refused.
"""

from gate.filters import SENT_REQUEST_ID
from gate.shapes import Doc, extension

IDENTITY = (
    "x-user-id",
    "x-tenant-id",
    "x-key-id",
    "x-scope",
    "x-roles",
    "x-org-id",
    "x-user",
    "x-tenant",
    "x-role",
    "x-scopes",
    "x-jwt-payload",
    "x-mesh",
    "x-remote-user",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-user",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "forwarded",
)
# Who asks, as proxies tell it: what those in front of the gate say is read by Envoy, and by nothing else.
FORWARDED = "x-forwarded-for"
PREFIXES = ("x-auth-", "x-internal-", "x-switchyard-", "x-envoy-")
_SENT = "request.headers['x-request-id']"
# ^[A-Za-z0-9._-]{8,128}$, in two steps: CEL bounds the size of patterns, and counted repetition is large.
WELL_FORMED = f"{_SENT}.matches('^[A-Za-z0-9._-]+$') && size({_SENT}) >= 8 && size({_SENT}) <= 128"


def early_mutations(*, traced: bool, hops: int = 0) -> Doc:
    """Return the header mutations at entry; `hops` proxies in front say who asks."""
    unheard = IDENTITY if hops else (*IDENTITY, FORWARDED)
    mutations: list[Doc] = [{"remove": name} for name in unheard]
    mutations += [{"remove_on_match": {"key_matcher": {"prefix": p}}} for p in PREFIXES]
    mutations += _request_id(traced=traced)
    message = "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return extension("strip", message, mutations=mutations)


def _request_id(*, traced: bool) -> list[Doc]:
    """Keep a request id that is well formed, drop any other.

    A formatter that finds nothing leaves the header as it is, hence the detour over a second one.
    With tracing, Envoy makes an id of its own and `filters._trace_id` decides between the two.
    """
    kept = f"%CEL({WELL_FORMED} ? {_SENT} : '')%"
    aside = [_set(SENT_REQUEST_ID, kept), {"remove": "x-request-id"}]
    if traced:
        return aside
    back = _set("x-request-id", f"%REQ({SENT_REQUEST_ID})%")
    return [*aside, back, {"remove": SENT_REQUEST_ID}]


def _set(name: str, value: str) -> Doc:
    return {
        "append": {
            "header": {"key": name, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }
