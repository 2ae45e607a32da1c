"""The audit log as an outsider meets it: an auditor with docs/auditing.md in hand, a person with a right too few."""

import asyncio
import sys
from base64 import b64decode
from hashlib import sha256

import pytest

from audit.domain.merkle import grown

pytestmark = pytest.mark.journey
LOGS, AUDIT = "/api/v1/audit-logs", "/api/v1/audit"


async def told(web, path, **params):
    answer = await web.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer


async def checkpoint(web, **params):
    """Return a note with the size and the root that it signs."""
    note = (await told(web, f"{AUDIT}/checkpoint", **params)).text
    _, size, root, *_ = note.split("\n")
    return note, int(size), b64decode(root)


async def continued(web, old, new, **params):
    """Tell whether the log of one checkpoint continues that of another."""
    asked = {"from": old[1], "to": new[1], **params}
    proof = (await told(web, f"{AUDIT}/consistency", **asked)).json()["hashes"]
    return old[1:] == new[1:] or grown(old[1:], new[1:], [b64decode(one) for one in proof])


async def newest_leaves(web, size):
    """Return the leaves in the last two tiles of the log of checkpoints."""
    number, wide = divmod(size, 256)
    last = [f"{number:03}.p/{wide}"] if wide else []
    names = [f"{number - 1:03}", *last] if number else last
    tiles = [await told(web, f"{AUDIT}/tile/0/{name}", log="checkpoints") for name in names]
    return b"".join(tile.content for tile in tiles)


async def verified(folder, export, key):
    """Run the offline verifier; return its exit status and what it says."""
    (folder / "export.jsonl").write_bytes(export)
    (folder / "vkey").write_text(key)
    words = ("verify", str(folder / "export.jsonl"), "--vkey", str(folder / "vkey"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "audit", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_an_auditor_finds_the_log_sound_and_a_forged_one_not(org, eventually, tmp_path):
    flag = await org.flag()

    async def recorded():
        return (await told(org.web, LOGS, entity_id=flag["id"])).json()["total"]

    await eventually(recorded)
    key = (await told(org.web, f"{AUDIT}/vkey")).text
    early = await checkpoint(org.web)
    witnessed = await checkpoint(org.web, log="checkpoints")
    await org.web.post(f"/api/v1/feature-flags/{flag['id']}/toggle", json={"reason": "launch"})

    async def toggled():
        return (await told(org.web, LOGS, action_type="toggle_enabled")).json()["items"]

    (entry,) = await eventually(toggled)
    export = (await told(org.web, f"{LOGS}/export")).content
    status, said = await verified(tmp_path, export, key)
    assert (status, said.startswith("sound: ")) == (0, True), said
    forged = export.replace(b'"reason":"launch"', b'"reason":"lunch!"')
    status, said = await verified(tmp_path, forged, key)
    assert (status, f"entry {entry['seq']}: its bytes were changed" in said) == (1, True), said

    late = await checkpoint(org.web)
    assert late[1] > early[1]
    assert await continued(org.web, early, late)
    assert not grown(early[1:], (late[1], bytes(32)), [])

    async def seen():
        now = await checkpoint(org.web, log="checkpoints")
        assert await continued(org.web, witnessed, now, log="checkpoints")
        leaf = sha256(b"\x00" + late[0].encode()).digest()
        return leaf in await newest_leaves(org.web, now[1])

    await eventually(seen)


@pytest.fixture
async def holder(org):
    """Make a person who has one permission and nothing else."""

    async def holder(permission):
        made = await org.web.post(
            "/api/v1/roles",
            json={"name": permission.replace(":", "-"), "permission_ids": [permission]},
        )
        assert made.status_code == 201, made.text
        return await org.person(made.json()["name"])

    return holder


@pytest.mark.parametrize(
    ("permission", "opens"),
    [
        ("audit:read", {LOGS, f"{AUDIT}/checkpoint"}),
        ("view_audit_logs", {LOGS, f"{AUDIT}/checkpoint"}),  # the same right by its other name
        ("audit:export", {f"{LOGS}/export"}),
        ("audit:admin", {f"{AUDIT}/{door}" for door in ("retention", "erasures", "streams")}),
    ],
)
async def test_each_right_opens_its_own_doors(holder, permission, opens):
    web = await holder(permission)
    doors = [LOGS, f"{LOGS}/export"]
    doors += [f"{AUDIT}/{door}" for door in ("checkpoint", "retention", "erasures", "streams")]
    assert {path for path in doors if (await web.get(path)).status_code == 200} == opens
    refused = [await web.get(path) for path in doors if path not in opens]
    assert {answer.status_code for answer in refused} == {403}
    changes = [
        await web.put(f"{AUDIT}/retention", json={"days": 30}),
        await web.post(f"{AUDIT}/erasures", json={"user_id": "u-1"}),
        await web.post(f"{AUDIT}/streams", json={"url": "https://siem.example/hook"}),
    ]
    expected = {200, 201} if permission == "audit:admin" else {403}
    assert {answer.status_code for answer in changes} == expected


async def test_what_cannot_wait_is_in_the_log_before_the_answer(org):
    await told(org.web, f"{LOGS}/export", entity_type="flag")
    (taken,) = (await told(org.web, LOGS, action_type="audit_log.exported")).json()["items"]
    assert taken["after"] == {"format": "jsonl", "filters": {"entity_type": "flag"}}
    await org.web.post(f"{AUDIT}/erasures", json={"user_id": "u-1", "reason": "asked for"})
    (erased,) = (await told(org.web, LOGS, action_type="person.erased")).json()["items"]
    assert (erased["entity_id"], erased["reason"]) == ("u-1", "asked for")
