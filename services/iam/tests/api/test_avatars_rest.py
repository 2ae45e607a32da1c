"""Avatars over REST, with the real decoder: who may, what is taken, what comes out."""

import io
import zlib
from hashlib import sha256

import pytest
from PIL import Image

from iam.clients.images import PooledImages
from iam.domain.acl import EntryDraft
from iam.domain.gitops import C, Draft

G = "/api/v1/global"
MODIFY = 16


@pytest.fixture
def tenant(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, tenant):
    return iam.user(tenant, "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def ann(iam, tenant):
    return iam.user(tenant, username="ann")


@pytest.fixture(autouse=True)
def images(iam):
    pool = PooledImages()
    object.__setattr__(iam.avatars, "images", pool)
    yield pool
    pool.close()


@pytest.fixture
async def group(iam, make, boss, ann):
    draft = Draft(key="g_ops", acl=[EntryDraft(MODIFY, ("u_ann",))])
    return (await iam.gitops.create(make.caller(boss), C.GROUPS, draft)).entity


def picture(kind="PNG", size=(64, 32), **more):
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **more)
    return out.getvalue()


def chunk(name, data):
    checked = name + data
    return len(data).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


def bomb(width, height):
    """A PNG of few bytes that says it is very large."""
    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    data = zlib.compress(b"\x00" * 1000)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def upload(web, asking):
    async def send(user, data, path="groups/g_ops", name="file", **headers):
        sent = {**asking(user), **{n.replace("_", "-"): v for n, v in headers.items()}}
        files = {name: ("a.png", data, "image/png")}
        return await web.post(f"{G}/{path}/upload/avatar", files=files, headers=sent)

    return send


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_a_picture_is_taken_kept_as_webp_and_shown(upload, web, boss, group, kind):
    answer = await upload(boss, picture(kind))
    assert answer.status_code == 200, answer.text
    path = answer.json()["avatar"]
    assert answer.headers["etag"] == '"2"'
    shown = await web.get(path)
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/webp"
    assert shown.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
    made = Image.open(io.BytesIO(shown.content))
    assert (made.format, made.size) == ("WEBP", (64, 32))
    name = sha256(group.id.bytes + shown.content).hexdigest()
    assert path == f"/static/avatars/{name}.webp"
    again = await web.get(path, headers={"if-none-match": shown.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_thing_shows_its_picture_in_lists_too(upload, web, asking, boss, group):
    before = await web.get(f"{G}/groups/g_ops", headers=asking(boss))
    assert before.json()["avatar"] is None
    path = (await upload(boss, picture())).json()["avatar"]
    listed = await web.get(f"{G}/groups", headers=asking(boss))
    assert listed.json()["items"][0]["avatar"] == path
    read = (await web.get(f"{G}/groups/g_ops", headers=asking(boss))).json()
    back = await web.put(f"{G}/groups/g_ops", json=read, headers=asking(boss))
    assert back.json()["avatar"] == path  # and what was read can be sent back


async def test_a_user_has_one_too_and_it_outlives_other_changes(
    upload, web, asking, boss, ann, iam
):
    path = (await upload(boss, picture(), "users/u_ann")).json()["avatar"]
    body = {"first_name": "Änne"}
    changed = await web.post(f"{G}/users/u_ann", json=body, headers=asking(boss))
    assert (changed.json()["avatar"], changed.json()["first_name"]) == (path, "Änne")
    assert "user.updated" in iam.world.actions()


async def test_a_large_picture_is_made_small_and_stands_upright(upload, web, boss, group):
    image = Image.new("RGB", (1600, 800), (10, 10, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "taken at home"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    shown = await web.get((await upload(boss, out.getvalue())).json()["avatar"])
    made = Image.open(io.BytesIO(shown.content))
    assert made.size == (256, 512)
    assert b"taken at home" in out.getvalue()
    assert b"taken at home" not in shown.content
    assert not made.getexif()


async def test_of_an_animation_the_first_frame_is_kept(upload, web, boss, group):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    shown = await web.get((await upload(boss, out.getvalue())).json()["avatar"])
    made = Image.open(io.BytesIO(shown.content))
    red, _, blue = made.convert("RGB").getpixel((4, 4))
    assert red > 200 > 60 > blue
    assert getattr(made, "n_frames", 1) == 1


async def test_what_is_transparent_stays_so(upload, web, boss, group):
    out = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(out, "PNG")
    shown = await web.get((await upload(boss, out.getvalue())).json()["avatar"])
    assert Image.open(io.BytesIO(shown.content)).convert("RGBA").getpixel((4, 4))[3] == 0


async def test_nothing_that_hides_in_a_picture_comes_out(upload, web, boss, group):
    evil = b"<script>alert(1)</script><?php system($_GET[0]); ?>PK\x03\x04"
    sent = [
        picture("GIF") + evil,
        picture("JPEG", comment=evil),
        picture("PNG")[:-12] + chunk(b"tEXt", b"Comment\x00" + evil) + chunk(b"IEND", b""),
    ]
    for data in sent:
        assert evil in data
        shown = await web.get((await upload(boss, data)).json()["avatar"])
        assert b"script" not in shown.content
        assert b"PK\x03\x04" not in shown.content


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="1" height="1"/></svg>'
)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "iam.avatar_not_an_image"),
        (b"hello", 422, "iam.avatar_not_an_image"),
        (SVG, 422, "iam.avatar_not_an_image"),
        (picture("BMP"), 422, "iam.avatar_not_an_image"),
        (picture("TIFF"), 422, "iam.avatar_not_an_image"),
        (picture("PNG", (300, 300))[:200], 422, "iam.avatar_not_an_image"),
        (picture("JPEG", (300, 300))[:400], 422, "iam.avatar_not_an_image"),
        (picture("WEBP", (300, 300))[:-20], 422, "iam.avatar_not_an_image"),
        (bomb(30_000, 30_000), 422, "iam.avatar_too_many_pixels"),
        (bomb(6_000, 5_000), 422, "iam.avatar_too_many_pixels"),
        (bomb(2**31 - 1, 2**31 - 1), 422, "iam.avatar_too_many_pixels"),
        (bomb(4_000, 4_000), 422, "iam.avatar_not_an_image"),
        (picture() + b"\x00" * (5 << 20), 413, "iam.avatar_too_large"),
        (picture() + b"\x00" * (6 << 20), 413, "iam.avatar_too_large"),
    ],
    ids=str,
)
async def test_what_is_no_picture_is_refused_and_changes_nothing(
    upload, boss, group, iam, data, status, code
):
    answer = await upload(boss, data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert iam.shelf.files == {}
    assert iam.world.entities[group.id].version == 1


async def test_five_mebibytes_are_taken_and_not_one_byte_more(upload, boss, group):
    data = picture()
    full = data + b"\x00" * ((5 << 20) - len(data))
    assert (await upload(boss, full)).status_code == 200
    assert (await upload(boss, full + b"\x00")).status_code == 413


async def test_a_form_has_one_part_which_is_a_file(web, asking, boss, group):
    url, sent = f"{G}/groups/g_ops/upload/avatar", asking(boss)
    part = ("a.png", picture(), "image/png")
    wrong = [
        {"files": [("file", part), ("file", part)]},
        {"files": {"file": part}, "data": {"name": "x"}},
        {"files": {"file": (None, "text")}},
        {"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"nonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"nonsense", "headers": {"content-type": "multipart/form-data"}},
    ]
    for more in wrong:
        headers = {**sent, **more.pop("headers", {})}
        answer = await web.post(url, headers=headers, **more)
        assert (answer.status_code, answer.json()["code"]) == (422, "iam.bad_upload"), more
    for kind in ("image/png", "application/json", "text/plain"):
        content = b"{}" if "json" in kind else picture()
        answer = await web.post(url, content=content, headers={**sent, "content-type": kind})
        assert answer.status_code == 415
    assert (await web.post(url, headers=sent)).status_code == 415


async def test_who_may_not_change_it_is_told_that_nothing_is_there(
    upload, web, asking, boss, ann, iam, group, tenant
):
    bob = iam.user(tenant, "bob@acme.test", username="bob")
    stranger = iam.user(iam.tenant("other"), "boss@other.test", roles=["admin"])
    assert (await upload(ann, picture())).status_code == 200  # MODIFY in its list
    kept = dict(iam.shelf.files)
    missing = await upload(bob, picture(), "groups/g_none")
    for user, path in ((bob, "groups/g_ops"), (stranger, "groups/g_ops"), (bob, "users/u_boss")):
        for target in (path, str(group.id) if user is stranger else None):
            if target:
                where = path if target == path else f"groups/{target}"
                denied = await upload(user, picture(), where)
                assert denied.status_code == 404
                assert denied.json()["detail"] == missing.json()["detail"]
    gone = await web.delete(f"{G}/groups/g_ops/upload/avatar", headers=asking(bob))
    assert gone.status_code == 404
    assert iam.shelf.files == kept
    nobody = await web.post(f"{G}/groups/g_ops/upload/avatar", files={"f": picture()})
    assert nobody.status_code == 401
    assert (await upload(boss, picture(), "groups/u_wrong")).status_code == 422


async def test_a_picture_for_a_version_that_is_gone_is_refused(upload, boss, group, iam):
    assert (await upload(boss, picture(), if_match='"7"')).status_code == 412
    assert iam.shelf.files == {}
    assert (await upload(boss, picture(), if_match='"1"')).status_code == 200


async def test_another_picture_takes_the_place_of_the_first(upload, web, asking, boss, group, iam):
    first = (await upload(boss, picture())).json()["avatar"]
    same = await upload(boss, picture())
    assert (same.json()["avatar"], same.json()["state"]["version"]) == (first, 2)
    second = (await upload(boss, picture(size=(7, 7)))).json()["avatar"]
    assert (await web.get(first)).status_code == 404
    assert (await web.get(second)).status_code == 200
    removed = await web.delete(f"{G}/groups/g_ops/upload/avatar", headers=asking(boss))
    assert removed.status_code == 204
    assert iam.shelf.files == {}
    read = await web.get(f"{G}/groups/g_ops", headers=asking(boss))
    assert read.json()["avatar"] is None


async def test_two_things_with_the_same_picture_do_not_share_it(
    upload, web, asking, boss, group, ann
):
    one = (await upload(boss, picture())).json()["avatar"]
    two = (await upload(boss, picture(), "users/u_ann")).json()["avatar"]
    assert one != two
    await web.delete(f"{G}/groups/g_ops/upload/avatar", headers=asking(boss))
    assert (await web.get(two)).status_code == 200


async def test_the_picture_of_what_was_deleted_is_cleared_away(
    upload, web, asking, boss, group, ann, iam
):
    await upload(boss, picture())
    await upload(boss, picture(), "users/u_ann")
    kept = (await upload(boss, picture(), "users/u_boss")).json()["avatar"]
    for path in ("groups/g_ops", "users/u_ann"):
        assert (await web.delete(f"{G}/{path}", headers=asking(boss))).status_code == 204
    assert await iam.avatars.clear() == 2
    assert await iam.avatars.clear() == 0
    assert [f"/static/avatars/{name}" for name in iam.shelf.files] == [kept]


async def test_files_that_nothing_has_are_swept_when_they_are_old(upload, boss, group, iam):
    await upload(boss, picture())
    (kept,) = iam.shelf.files
    await iam.shelf.put("f" * 64 + ".webp", b"left by an upload that was cut off")
    assert await iam.avatars.sweep() == 0
    iam.clock.forward(hours=2)
    assert await iam.avatars.sweep() == 1
    assert list(iam.shelf.files) == [kept]


@pytest.mark.parametrize(
    "name", ["x", "..%2fsecret", "a" * 64, "A" * 64 + ".webp", "a" * 64 + ".webp"]
)
async def test_a_file_that_is_not_there_is_404(web, name):
    assert (await web.get(f"/static/avatars/{name}")).status_code == 404


async def test_storage_that_is_away_is_503_and_changes_nothing(upload, web, boss, group, iam):
    path = (await upload(boss, picture())).json()["avatar"]
    iam.shelf.away = True
    answer = await upload(boss, picture(size=(9, 9)))
    assert (answer.status_code, answer.json()["code"]) == (503, "iam.storage_unavailable")
    assert (await web.get(path)).status_code == 503
    assert iam.world.entities[group.id].version == 2


async def test_too_many_pictures_at_once_are_refused(images):
    images._waiting = 8
    from iam.domain.avatar import ImagesBusy

    with pytest.raises(ImagesBusy):
        await images.avatar(picture())
    images._waiting = 0
    assert (await images.avatar(picture()))[:4] == b"RIFF"
