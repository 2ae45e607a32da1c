"""What the main job costs, through the real gateway. Needs a running platform:

    make up && .venv/bin/python benchmarks/main_job.py
    .venv/bin/python -m yard with -- .venv/bin/python benchmarks/main_job.py      # a throw-away one

Prints: toggle latency, toggle → audit entry visible, OFREP evaluations per processor second at the service and through
the gateway with an API key, and the memory of the platform. Medians; machines are noisy: compare within one run only.
"""

import asyncio
import json
import os
import time
from pathlib import Path

import httpx
from load import Run, family, fire, per_cpu_second, pss_mb, registration, request

STATE = Path(os.environ.get("SWITCHYARD_STATE", ".data/run/state.json"))


async def prepare(web: httpx.AsyncClient) -> tuple[str, str]:
    """Register an organization; return the id of a flag that is on, and an API key."""
    made = await web.post("/api/v1/organizations/register", json=registration())
    web.headers["authorization"] = f"Bearer {made.raise_for_status().json()['access_token']}"
    flag = await web.post("/api/v1/feature-flags", json={"key": "bench", "name": "Bench"})
    flag_id = flag.raise_for_status().json()["id"]
    (await web.post(f"/api/v1/feature-flags/{flag_id}/enable", json={})).raise_for_status()
    key = await web.post("/api/v1/api-keys", json={"name": "bench"})
    return flag_id, key.raise_for_status().json()["key"]


async def toggles(web: httpx.AsyncClient, flag: str, total: int) -> Run:
    """Toggle one flag again and again."""
    run = Run(0.0)
    begun = time.perf_counter()
    for n in range(total):
        at = time.perf_counter()
        answer = await web.post(f"/api/v1/feature-flags/{flag}/toggle", json={"reason": f"no {n}"})
        run.latencies.append(time.perf_counter() - at)
        run.bad += answer.status_code != 200
    run.seconds = time.perf_counter() - begun
    return run


async def until_visible(web: httpx.AsyncClient, flag: str, total: int) -> Run:
    """Toggle, then ask the audit log until the entry is there; the time from the answer to the first sight."""
    run = Run(1.0)
    for n in range(total):
        reason = f"seen {n}"
        await web.post(f"/api/v1/feature-flags/{flag}/toggle", json={"reason": reason})
        at = time.perf_counter()
        while True:
            listed = await web.get("/api/v1/audit-logs", params={"entity_id": flag, "limit": 1})
            if listed.json()["items"] and listed.json()["items"][0]["reason"] == reason:
                break
        run.latencies.append(time.perf_counter() - at)
    return run


async def at_half_load(url: str, key: str, rate: float) -> Run:
    """Evaluate at half of what the machine can do, on a clock."""
    body = json.dumps({"context": {"targetingKey": "user-1"}}).encode()
    wire = request(url, "/ofrep/v1/evaluate/flags/bench", body, X_API_Key=key)
    return await fire(url, wire, int(rate * 5), 16, rate)


async def evaluations(url: str, key: str, pids: list[int]) -> tuple[float, Run]:
    """Evaluate one flag for one user, over 16 connections."""
    body = json.dumps({"context": {"targetingKey": "user-1"}}).encode()
    wire = request(url, "/ofrep/v1/evaluate/flags/bench", body, X_API_Key=key)
    return await per_cpu_second(pids, lambda: fire(url, wire, 10_000, 16))


async def main(state: dict) -> None:
    """Measure and print."""
    gateway = os.environ.get("SWITCHYARD_URL") or state["urls"]["gateway"]
    service = f"http://127.0.0.1:{state['ports']['flags']['http']}"
    pids = state["pids"]
    async with httpx.AsyncClient(base_url=gateway, timeout=10) as web:
        idle = {name: sum(pss_mb(p) for p in family(pid)) for name, pid in pids.items()}
        flag, key = await prepare(web)
        await toggles(web, flag, 50)
        run = await toggles(web, flag, 500)
        print(
            f"toggle through the gateway: p50 {run.ms(0.5):.1f} ms, p99 {run.ms(0.99):.1f} ms, {run.bad} bad"
        )
        seen = await until_visible(web, flag, 100)
        print(
            f"toggle -> audit entry visible: p50 {seen.ms(0.5):.1f} ms, p99 {seen.ms(0.99):.1f} ms"
        )
        flags, envoy = family(pids["flags"]), family(pids["gateway"])
        direct, at = await evaluations(service, key, flags)
        print(f"OFREP single at the service: {direct:,.0f} per CPU second, {at.bad} bad")
        through, at = await evaluations(gateway, key, flags + envoy)
        print(
            f"OFREP single through the gateway: {through:,.0f} per CPU second (Envoy and service),"
            f" p50 {at.ms(0.5):.1f} ms, p99 {at.ms(0.99):.1f} ms at {at.rate:,.0f}/s, {at.bad} bad"
        )
        half = await at_half_load(gateway, key, at.rate / 2)
        print(
            f"  at half load ({half.rate:,.0f}/s):"
            f" p50 {half.ms(0.5):.1f} ms, p99 {half.ms(0.99):.1f} ms, {half.bad} bad"
        )
        for name, mb in sorted(idle.items(), key=lambda item: -item[1]):
            print(f"  memory {name:<12} {mb:6.0f} MB")
        print(f"memory of the idle platform: {sum(idle.values()):.0f} MB (proportional set size)")


if __name__ == "__main__":
    asyncio.run(main(json.loads(STATE.read_text())))
