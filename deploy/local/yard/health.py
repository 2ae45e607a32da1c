"""`make status`: a table of what runs, asked now rather than remembered."""

import asyncio
import os

from yard import procs, record, vault
from yard.record import Entry, Record
from yard.roster import probe
from yard.session import is_locked
from yard.site import Site
from yard.terms import Terms


def status(site: Site) -> int:
    """Print the table; 0 when everything is healthy, else 1."""
    now = record.read(site.state)
    if not is_locked(site):
        print("Switchyard is not up.")
        return 1
    kept = {name: entry for name, entry in now.processes.items() if entry.state != "done"}
    well = asyncio.run(_ask(site, now, list(kept)))
    print(f"{'process':<14}{'pid':>9}  {'health':<12}{'restarts':>9}{'memory':>10}")
    sizes = [_row(name, entry, well[name]) for name, entry in kept.items()]
    sizes.append(_row("supervisor", now.supervisor, "healthy"))
    print(f"{'total':<14}{'':>9}  {'':<12}{'':>9}{_mib(sum(size or 0 for size in sizes)):>10}")
    print("gateway:", now.urls.get("gateway", "-"))
    return 0 if now.healthy and set(well.values()) <= {"healthy"} else 1


def _row(name: str, entry: Entry, health: str) -> int | None:
    size = procs.memory(entry.pid) if entry.known().alive() and name != "supervisor" else None
    if name == "supervisor":
        size = procs.memory(entry.pid, alone=True)
    print(f"{name:<14}{entry.pid or '-':>9}  {health:<12}{entry.restarts:>9}{_mib(size):>10}")
    return size


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.1f} MiB"


async def _ask(site: Site, now: Record, names: list[str]) -> dict[str, str]:
    """Ask all at once; who has no process is called by its state."""
    terms = Terms(
        site=site,
        outer=os.environ,
        ports=now.ports,
        secrets=vault.load(site.secrets, ()),
        profile="development",
    )

    async def one(name: str) -> str:
        entry, ask = now.processes[name], probe(terms, name)
        if not entry.known().alive():
            return entry.state if entry.state != "ready" else "dead"
        return "healthy" if ask is None or await ask() else "unready"

    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))
