"""The chain of HTTP filters, locked by default: a route must open what it needs open.

Order: health, CORS, request id, rate limits that need no identity, API keys (Lua), JWT, the demand for
an identity, the whole body (hot doors only), rate limits per tenant and key, gRPC-web, body sizes, router.
Authentication fails closed: a Lua error lets a request go on, but then it carries no identity (what a client sends
under those names was removed at entry) and the demand for one refuses it.
"""

from pathlib import Path

from gate.graph import Topology
from gate.limits import Limits
from gate.settings import Settings
from gate.shapes import Doc, extension, seconds, typed

LUA = Path(__file__).parent.parent / "lua"
FILTERS = "extensions.filters.http."
RBAC = FILTERS + "rbac.v3.RBAC"
RATE = FILTERS + "local_ratelimit.v3.LocalRateLimit"
BUFFER = FILTERS + "buffer.v3.Buffer"
BODY = FILTERS + "body_size_limit.v3.BodySizeLimit"
# What the rest of the configuration calls the filters.
APIKEY, JWT, NEED_IDENTITY = "apikey", "jwt", "need_identity"
ADDRESS_RATE, TENANT_RATE, KEY_RATE = "address_rate", "tenant_rate", "key_rate"
GRPC_WEB, WHOLE_BODY = "grpc_web", "whole_body"
BODY_LIMIT, LARGE_BODY_LIMIT = "body_limit", "large_body_limit"
JWT_METADATA = "envoy.filters.http.jwt_authn"
# Scope of a request id that the client chose, while Envoy makes one of its own (see `_trace_id`).
SENT_REQUEST_ID = "x-switchyard-sent-id"


def chain(topology: Topology, settings: Settings) -> list[Doc]:
    """Return the HTTP filters of the public listener."""
    limits = settings.limits
    return [
        _health(),
        extension("cors", FILTERS + "cors.v3.Cors"),
        *([_trace_id()] if settings.otlp else []),
        _total_rate(limits),
        extension(ADDRESS_RATE, RATE, stat_prefix="address_rate"),
        _apikey(),
        _jwt(topology, settings),
        extension(NEED_IDENTITY, RBAC, rules=identity_rules("x-user-id", "x-key-id")),
        {**extension(WHOLE_BODY, BUFFER, max_request_bytes=limits.body), "disabled": True},
        _tenant_rate(limits),
        _key_rate(limits),
        extension(GRPC_WEB, FILTERS + "grpc_web.v3.GrpcWeb"),
        extension(BODY_LIMIT, BODY, max_request_bytes=limits.body),
        extension(LARGE_BODY_LIMIT, BODY, max_request_bytes=limits.large_body),
        extension("router", FILTERS + "router.v3.Router", suppress_envoy_headers=True),
    ]


def identity_rules(*headers: str) -> Doc:
    """Return RBAC rules that let through who carries one of the headers."""
    present = [{"header": {"name": name, "present_match": True}} for name in headers]
    policy = {"permissions": [{"any": True}], "principals": [{"or_ids": {"ids": present}}]}
    return {"action": "ALLOW", "policies": {"identified": policy}}


def _health() -> Doc:
    """Answer /health; 503 from the moment that a drain begins."""
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    here = {"name": ":path", "string_match": {"safe_regex": {"regex": r"/health/?(\?.*)?"}}}
    name = FILTERS + "health_check.v3.HealthCheck"
    return extension("health", name, pass_through_mode=False, headers=[here, reads])


def _trace_id() -> Doc:
    """Make the request id equal to the trace id, unless the client sent a well-formed one."""
    overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
    values = ("%TRACE_ID%", f"%REQ({SENT_REQUEST_ID})%")
    mutations: list[Doc] = [
        {"append": {"header": {"key": "x-request-id", "value": v}, "append_action": overwrite}}
        for v in values
    ]
    mutations.append({"remove": SENT_REQUEST_ID})
    name = FILTERS + "header_mutation.v3.HeaderMutation"
    return extension("trace_id", name, mutations={"request_mutations": mutations})


# -------------------------------------------------------------------- who is it


def lua_source() -> str:
    """Return the API-key script with its SHA-256 built in: one file fewer to find at run time."""
    sha256 = (LUA / "sha256.lua").read_text()
    return (
        f"package.preload['sha256'] = function(...)\n{sha256}\nend\n"
        + (LUA / "apikey.lua").read_text()
    )


def _apikey() -> Doc:
    # The default script refuses everything: a route that forgot to say how it authenticates is shut.
    shut = "function envoy_on_request(h) h:respond({[':status'] = '401'}, 'No way in.') end"
    return extension(
        APIKEY,
        FILTERS + "lua.v3.Lua",
        default_source_code={"inline_string": shut},
        source_codes={APIKEY: {"inline_string": lua_source()}},
    )


def apikey_on(mode: str, keylog: str, limits: Limits, *, socket: bool = False) -> Doc:
    """Return the per-route setting that looks API keys up; `mode`: key, bearer or either.

    On a route for a `socket` the credential may come among the offered protocols.
    """
    # Whole numbers: Envoy's YAML reader makes strings of fractions, and Lua cannot compare those.
    context = {
        "mode": mode,
        "socket": int(socket),
        "dir": keylog,
        "poll_ms": round(limits.keys_poll * 1000),
        "fresh_ms": round(limits.keys_fresh_for * 1000),
        "usable_ms": round(limits.keys_usable_for * 1000),
    }
    return typed(FILTERS + "lua.v3.LuaPerRoute", name=APIKEY, filter_context=context)


def _jwt(topology: Topology, settings: Settings) -> Doc:
    iam = next(s for s in topology.services if s.name == "iam").http[0]
    provider = {
        "issuer": settings.issuer,
        "audiences": [settings.audience],
        "require_expiration": True,
        "clock_skew_seconds": 5,
        # Without this the token would be taken from ?access_token= as well.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "payload_in_metadata": "jwt",
        "clear_route_cache": False,
        # Only this: jwt_authn clears the headers that it may write, and the Lua has written its own.
        "claim_to_headers": [{"header_name": "x-user-id", "claim_name": "sub"}],
        # A cached token outlives its withdrawn signing key; tokens are short, and the services
        # verify each one against iam's snapshot.
        "jwt_cache_config": {"jwt_cache_size": 1000},
        "remote_jwks": _jwks(f"http://{iam.host}:{iam.port}/.well-known/jwks.json"),
    }
    either: Doc = {
        "requires_any": {"requirements": [{"provider_name": "iam"}, {"allow_missing": {}}]}
    }
    return extension(
        JWT,
        FILTERS + "jwt_authn.v3.JwtAuthentication",
        providers={"iam": provider},
        bypass_cors_preflight=True,
        requirement_map={"bearer": {"provider_name": "iam"}, "either": either},
        rules=[{"match": {"prefix": "/"}, "requirement_name": "bearer"}],
    )


def _jwks(uri: str) -> Doc:
    return {
        "http_uri": {"uri": uri, "cluster": "iam", "timeout": "2s"},
        # An unknown kid triggers no refetch, so this is how soon a new signing key may sign (iam: heard_within).
        "cache_duration": "5s",
        "async_fetch": {"fast_listener": True, "failed_refetch_duration": "1s"},
        "retry_policy": {
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"},
        },
    }


# -------------------------------------------------------------------- how much


def whole_body(limits: Limits) -> Doc:
    """Return the per-route setting that has a request arrive as a whole before it is counted.

    Over HTTP/1.1 Envoy closes the connection of whom it refuses before the body has come: with each 429 to a noisy
    client it paid for a new one. The router keeps such bodies for a second try anyway.
    """
    route = typed(FILTERS + "buffer.v3.BufferPerRoute", buffer={"max_request_bytes": limits.body})
    return typed("config.route.v3.FilterConfig", config=route)


def _bucket(tokens: int, interval: float = 1) -> Doc:
    return {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": seconds(interval)}


# Of all gates together: Envoy lets its share through, one part in as many as there are gates (clusters.GATES).
SHARED: Doc = {"local_cluster_rate_limit": {}}


def _rate(name: str, policies: dict[str, tuple[int, int]], **fields: object) -> Doc:
    """Return a limit that tells whom it refuses of its policies: how much in how many seconds."""
    always = {"default_value": {"numerator": 100}}
    listed = (f'"{policy}";q={quota};w={window}' for policy, (quota, window) in policies.items())
    told = {"ratelimit-policy": ", ".join(listed), "ratelimit": f'"{name}";r=0;t=1'}
    return {
        "stat_prefix": f"{name}_rate",
        "filter_enabled": always,
        "filter_enforced": always,
        "enable_retry_after_header": True,
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [
            {"header": {"key": k, "value": v}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for k, v in told.items()
        ],
        **fields,
    }


def _total_rate(limits: Limits) -> Doc:
    quota = limits.total_rate
    fields = _rate("total", {"total": (quota, 1)}, token_bucket=_bucket(quota))
    return extension("total_rate", RATE, **fields)


def _each(actions: list[Doc], descriptors: list[Doc]) -> Doc:
    """Return a bucket per value seen, of all gates together: an entry without a value stands for every one."""
    return {
        **SHARED,
        "token_bucket": _bucket(1_000_000_000),
        "max_dynamic_descriptors": 10_000,
        "rate_limits": [{"actions": [action]} for action in actions],
        "descriptors": descriptors,
    }


def _tenant_rate(limits: Limits) -> Doc:
    """Limit each tenant, whichever credential names it."""
    token = {"key": JWT_METADATA, "path": [{"key": "jwt"}, {"key": "tid"}]}
    actions: list[Doc] = [
        {"request_headers": {"header_name": "x-tenant-id", "descriptor_key": "tenant"}},
        {"metadata": {"metadata_key": token, "descriptor_key": "tenant", "skip_if_absent": True}},
    ]
    quota = limits.tenant_rate
    bucket = {"entries": [{"key": "tenant"}], "token_bucket": _bucket(quota)}
    fields = _rate("tenant", {"tenant": (quota, 1)}, **_each(actions, [bucket]))
    return extension(TENANT_RATE, RATE, **fields)


def _key_rate(limits: Limits) -> Doc:
    """Limit each API key, and all together that the gate has not heard of."""
    known, young = limits.key_rate, limits.unresolved_rate
    action = {"request_headers": {"header_name": "x-key-id", "descriptor_key": "key"}}
    buckets: list[Doc] = [
        {"entries": [{"key": "key"}], "token_bucket": _bucket(known)},
        {"entries": [{"key": "key", "value": "unresolved"}], "token_bucket": _bucket(young)},
    ]
    policies = {"key": (known, 1), "unknown-keys": (young, 1)}
    return extension(KEY_RATE, RATE, **_rate("key", policies, **_each([action], buckets)))


def address_rate(quota: int) -> Doc:
    """Return the per-route limit of a minute per client address (an IPv6 network of 64 bits is one client)."""
    per_address = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
    entry = {"key": "masked_remote_address"}
    buckets: list[Doc] = [{"entries": [entry], "token_bucket": _bucket(quota, 60)}]
    fields = _rate("address", {"address": (quota, 60)}, **_each([per_address], buckets))
    return typed(RATE, **fields)
