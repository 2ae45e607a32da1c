"""Asks unmodified clients in Python; run by test_foreign_clients.py in an environment where they are installed.

`python python_clients.py MODE` reads a job as a line of JSON: {url, key, flags: [[key, type]], contexts, change: {flag,
context, value}}. It answers with a line of what each flag served to each context, waits for a line, and answers with
another one when the flag serves the changed value to the context.
"""

import json
import sys
import time
from urllib.parse import urlsplit

DEFAULTS = {"boolean": False, "string": "?", "integer": -1, "float": -1.0, "json": {"?": 1}}
PATIENCE = 15


class OpenFeature:
    def __init__(self, provider):
        from openfeature import api

        api.set_provider(provider)
        self.client = api.get_client()
        end = time.monotonic() + PATIENCE
        while self.client.get_provider_status().value != "READY" and time.monotonic() < end:
            time.sleep(0.02)

    def ask(self, key, kind, context):
        from openfeature.evaluation_context import EvaluationContext

        attributes = dict(context)
        who = EvaluationContext(attributes.pop("targetingKey", None), attributes)
        name = {"json": "object"}.get(kind, kind)
        details = getattr(self.client, f"get_{name}_details")
        said = details(key, DEFAULTS[kind], who)
        error = said.error_code and said.error_code.value
        return {"value": said.value, "variant": said.variant, "reason": said.reason, "error": error}


def ofrep(job):
    from openfeature.contrib.provider.ofrep import OFREPProvider

    return OpenFeature(OFREPProvider(job["url"], headers_factory=lambda: {"X-API-Key": job["key"]}))


def flagd(job, resolver):
    from openfeature.contrib.provider.flagd import FlagdProvider

    place = urlsplit(job["url"])
    return OpenFeature(
        FlagdProvider(
            host=place.hostname,
            port=place.port,
            tls=False,
            selector=job["key"],
            resolver_type=resolver,
            deadline_ms=10_000,
            retry_backoff_max_ms=1000,
        )
    )


def rpc(job):
    from openfeature.contrib.provider.flagd.config import ResolverType

    return flagd(job, ResolverType.RPC)


def in_process(job):
    from openfeature.contrib.provider.flagd.config import ResolverType

    return flagd(job, ResolverType.IN_PROCESS)


class Unleash:
    def __init__(self, job, mode):
        from UnleashClient import UnleashClient

        self.client = UnleashClient(
            url=f"{job['url']}/api",
            app_name="journey",
            custom_headers={"Authorization": job["key"]},
            refresh_interval=1,
            metrics_interval=1,
            experimental_mode={"type": mode},
        )
        self.client.initialize_client()
        end = time.monotonic() + PATIENCE
        while not self.client.feature_definitions() and time.monotonic() < end:
            time.sleep(0.05)

    def ask(self, key, kind, context):
        properties = dict(context)
        who = {"userId": properties.pop("targetingKey", None), "properties": properties}
        who = {k: v for k, v in who.items() if v is not None}
        on = self.client.is_enabled(key, who)
        variant = self.client.get_variant(key, who)
        value = on if kind == "boolean" else variant.get("payload", {}).get("value")
        return {"value": value, "variant": variant["name"], "enabled": on}


def polling(job):
    return Unleash(job, "polling")


def streaming(job):
    return Unleash(job, "streaming")


def tell(said):
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main():
    job = json.loads(sys.stdin.readline())
    asked = globals()[sys.argv[1]](job)
    tell([{key: asked.ask(key, kind, c) for key, kind in job["flags"]} for c in job["contexts"]])
    sys.stdin.readline()
    flag, context, value = (job["change"][name] for name in ("flag", "context", "value"))
    kind = dict(job["flags"])[flag]
    start = time.monotonic()
    while (found := asked.ask(flag, kind, context)["value"]) != value:
        if time.monotonic() > start + PATIENCE:
            raise SystemExit(f"after {PATIENCE} s it serves {found!r} still")
        time.sleep(0.02)
    tell({"seconds": time.monotonic() - start})


if __name__ == "__main__":
    main()
