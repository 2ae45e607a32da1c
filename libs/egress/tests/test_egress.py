"""No spelling of an address of ours gets through, and what was judged is what is connected to."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from egress import fetch as fetching
from egress.fetch import Request, Unreachable, fetch
from egress.guard import Refused, Rules, destination, judged

HERE = Rules.of("127.0.0.0/8", plain_http=True)
INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_is_refused(address):
    with pytest.raises(Refused):
        judged([address], Rules())
    with pytest.raises(Refused):
        judged(["1.1.1.1", address], Rules())


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_may_be_reached(address):
    assert judged([address], Rules()) == [address]


def test_a_network_of_ones_own_may_be_allowed():
    rules = Rules.of("10.1.0.0/16, fd00::/8")
    assert judged(["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"], rules)
    with pytest.raises(Refused):
        judged(["10.2.0.1"], rules)
    with pytest.raises(ValueError, match="host bits"):
        Rules.of("10.1.0.1/16")


def test_a_host_without_an_address_is_refused():
    with pytest.raises(Refused):
        judged([], Rules())


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com",
        "https://",
        "https:///path",
        "https://user:pw@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]:8443/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nx: y",
        "https://ex\u00e4mple.com/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://[::1",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url):
    with pytest.raises(Refused):
        destination(url, Rules())


def test_a_destination_says_where_and_what():
    found = destination("https://example.com:8443/a/b?c=d#e", Rules())
    assert (found.authority, found.target) == ("example.com:8443", "/a/b?c=d")
    assert destination("https://example.com", Rules()).authority == "example.com"
    assert destination("http://[::1]/", Rules.of("::1", plain_http=True)).authority == "[::1]"


@asynccontextmanager
async def answering(said, heard=None):
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        body = await reader.readexactly(length)
        if heard is not None:
            heard.append((head, body))
        if said is None:
            await reader.read()
        else:
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "spelling", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "0x7f000001"]
)
async def test_no_spelling_of_the_loopback_address_gets_through(spelling):
    heard = []
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", heard) as url:
        there = url.replace("127.0.0.1", spelling)
        with pytest.raises((Refused, Unreachable)):
            await fetch(Request("GET", there), Rules(plain_http=True))
    assert heard == []


async def test_an_answer_is_read_whole():
    heard = []
    said = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nX-Y: z\r\n\r\nhello"
    async with answering(said, heard) as url:
        answer = await fetch(Request("POST", f"{url}/a?b=c", {"x-a": "b"}, b"body"), HERE)
    assert (answer.status, answer.body, answer.headers["x-y"]) == (201, b"hello", "z")
    ((head, body),) = heard
    assert head.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert body == b"body"


async def test_a_redirect_is_an_answer_and_not_followed():
    said = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    async with answering(said) as url:
        assert (await fetch(Request("GET", url), HERE)).status == 302


async def test_no_more_is_read_than_is_wanted():
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + b"x" * 100) as url:
        assert (await fetch(Request("GET", url), HERE, most=7)).body == b"x" * 7


async def test_who_is_silent_or_talks_nonsense_is_unreachable():
    async with answering(None) as url:
        with pytest.raises(Unreachable, match="within"):
            await fetch(Request("GET", url), HERE, patience=0.05)
    async with answering(b"nonsense\r\n\r\n") as url:
        with pytest.raises(Unreachable):
            await fetch(Request("GET", url), HERE)
    with pytest.raises(Unreachable):
        await fetch(Request("GET", url), HERE)
    with pytest.raises(Unreachable, match="not known"):
        await fetch(Request("GET", "http://no-such-host.invalid/"), HERE)


async def test_a_name_that_changes_its_mind_is_asked_once(monkeypatch):
    """DNS rebinding: public when it is judged, ours when it is connected to. It is connected to by number."""
    asked = []
    heard = []

    async def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    monkeypatch.setattr(fetching, "resolved", rebinding)
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n", heard) as url:
        there = url.replace("127.0.0.1", "rebind.example")
        assert (await fetch(Request("GET", there), HERE)).status == 204
    assert asked == ["rebind.example"]
    assert b"host: rebind.example" in heard[0][0].lower()
