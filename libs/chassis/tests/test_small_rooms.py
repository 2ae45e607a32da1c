"""The rooms that are a page each: pages, limits, keys, mesh, strict JSON, contexts, settings."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from authz import apikeys
from authz.limits import Limiter
from chassis import mesh, strictjson
from chassis.caller import Caller
from chassis.context import request_id_of, trace_of
from chassis.delivery import to_audit
from chassis.errors import Forbidden, Invalid
from chassis.outbox import Letter
from chassis.pages import BadCursor, Cursors, PageAsk, cut
from chassis.settings import ServiceSettings
from chassis.strictjson import BadJson
from schemas.addresses import driver_url

CURSORS = Cursors(b"k" * 32)
POSITIONS = st.lists(st.text(), min_size=1, max_size=4).map(tuple)


class TestCursors:
    @given(position=POSITIONS, scope=st.text())
    def test_what_was_sealed_is_opened(self, position, scope):
        assert CURSORS.open(scope, CURSORS.seal(scope, position)) == position

    @given(position=POSITIONS, at=st.integers(0, 10_000), bit=st.integers(0, 5))
    def test_a_changed_cursor_is_refused(self, position, at, bit):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        sealed = CURSORS.seal("t", position)
        at %= len(sealed) - 1  # the last character has bits that do not count
        other = alphabet[alphabet.index(sealed[at]) ^ (1 << bit)]
        with pytest.raises(BadCursor):
            CURSORS.open("t", sealed[:at] + other + sealed[at + 1 :])

    def test_a_cursor_of_another_list_is_refused(self):
        with pytest.raises(BadCursor, match="another list"):
            CURSORS.open("tenant-b", CURSORS.seal("tenant-a", ("1",)))

    @given(st.text(max_size=50))
    def test_a_made_up_cursor_is_refused(self, text):
        with pytest.raises(BadCursor):
            CURSORS.open("t", text)


class TestPages:
    def test_the_row_beyond_the_limit_says_that_there_is_more(self):
        assert cut([1, 2, 3], 2, lambda n: (str(n),)) == ([1, 2], ("2",))
        assert cut([1, 2], 2, lambda n: (str(n),)) == ([1, 2], None)
        assert cut([], 2, str) == ([], None)

    def test_a_position_says_where_to_begin_so_there_is_no_offset(self):
        assert PageAsk(limit=10, page=3).offset == 20
        assert PageAsk(limit=10, page=3, after=("x",)).offset == 0


class TestLimiter:
    def test_a_burst_as_large_as_the_rate_passes_and_no_more(self):
        limiter = Limiter(10)
        verdicts = [limiter.ask("k", 100.0) for _ in range(12)]
        assert [v.allowed for v in verdicts] == [True] * 10 + [False] * 2
        assert [v.remaining for v in verdicts[:3]] == [9, 8, 7]

    def test_a_bucket_fills_again(self):
        limiter = Limiter(10)
        for _ in range(10):
            limiter.ask("k", 100.0)
        assert not limiter.ask("k", 100.05).allowed
        assert limiter.ask("k", 100.11).allowed

    def test_one_name_does_not_touch_another(self):
        limiter = Limiter(1)
        assert limiter.ask("a", 5.0).allowed
        assert limiter.ask("b", 5.0).allowed
        assert not limiter.ask("a", 5.0).allowed

    def test_a_refusal_says_when_to_come_again(self):
        limiter = Limiter(1)
        limiter.ask("a", 5.0)
        assert (b"retry-after", b"1") in limiter.ask("a", 5.0).headers()

    def test_names_that_are_done_are_forgotten(self):
        limiter = Limiter(10, most_names=3)
        for second in range(50):
            limiter.ask(f"name-{second}", float(second * 10))
        assert len(limiter._buckets) <= 3

    @given(st.lists(st.floats(0, 3), max_size=200), st.integers(1, 50))
    def test_no_more_pass_than_the_rate_and_one_burst(self, times, rate):
        limiter, times = Limiter(rate), sorted(times)
        passed = sum(limiter.ask("k", at).allowed for at in times)
        span = times[-1] - times[0] if times else 0
        assert passed <= rate * span + rate + 1


class TestApiKeys:
    @pytest.mark.parametrize("kind", ["server", "client", "management"])
    def test_a_new_key_has_the_form_of_one(self, kind):
        key_id, key = apikeys.mint(kind)
        assert apikeys.well_formed(key)
        assert apikeys.prefix_of(key).split("_")[2] == key_id

    @given(st.integers(3, 60), st.sampled_from("0aZ-"))
    def test_a_mistyped_key_is_noticed(self, at, other):
        _, key = apikeys.mint("server")
        at %= len(key)
        assert apikeys.well_formed(key[:at] + other + key[at + 1 :]) is (key[at] == other)


class TestMesh:
    SECRET, METHOD = "s" * 32, "/switchyard.audit.v1.Audit/Append"

    def verified(self, shown, now=1000):
        return mesh.verify(self.SECRET, shown, self.METHOD, now)

    def test_a_service_is_known_by_its_signature(self):
        assert self.verified(mesh.sign(self.SECRET, "flags", self.METHOD, 1000)) == "flags"

    @pytest.mark.parametrize(
        "shown", ["", "flags", "flags.9999999999.", "flags.9999999999.00", "..", "é.1.2"]
    )
    def test_a_stranger_is_not(self, shown):
        with pytest.raises(mesh.NotAService):
            self.verified(shown)

    def test_a_signature_does_not_last(self):
        with pytest.raises(mesh.NotAService, match="clock"):
            self.verified(mesh.sign(self.SECRET, "flags", self.METHOD, 1000), 1361)

    @pytest.mark.parametrize("behind", [-300, 300])
    def test_a_signature_holds_where_the_clock_is_five_minutes_off(self, behind):
        shown = mesh.sign(self.SECRET, "flags", self.METHOD, 1000)
        assert self.verified(shown, 1000 + behind) == "flags"

    def test_a_signature_of_another_secret_does_not_hold(self):
        with pytest.raises(mesh.NotAService):
            self.verified(mesh.sign("x" * 32, "flags", self.METHOD, 1000))

    def test_a_signature_of_another_call_or_name_does_not_hold(self):
        for shown in (
            mesh.sign(self.SECRET, "flags", "/switchyard.iam.v1.Iam/Snapshot", 1000),
            mesh.sign(self.SECRET, "flags", self.METHOD, 1000).replace("flags", "iam"),
        ):
            with pytest.raises(mesh.NotAService):
                self.verified(shown)

    def test_a_secret_is_turned_without_a_pause(self):
        both = f"{'n' * 32}, {self.SECRET}"
        old = mesh.sign(self.SECRET, "flags", self.METHOD, 1000)
        new = mesh.sign(both, "flags", self.METHOD, 1000)
        assert mesh.verify(both, old, self.METHOD, 1000) == "flags"
        assert mesh.verify("n" * 32, new, self.METHOD, 1000) == "flags"
        with pytest.raises(mesh.NotAService):
            self.verified(new)

    def test_a_short_part_of_a_secret_is_no_secret(self):
        with pytest.raises(ValueError, match="32"):
            mesh.sign(f"{self.SECRET},short", "flags", self.METHOD, 1000)


class TestStrictJson:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "valid JSON"),
            (b"{", "valid JSON"),
            (b"{'a': 1}", "valid JSON"),
            (b'{"a": NaN}', "NaN"),
            (b'{"a": -Infinity}', "Infinity"),
            (b'{"a": 1e400}', "too large"),
            (b'{"a": 1, "a": 2}', "twice"),
            (b'{"a": "\\u0000"}', "NUL"),
            (b'{"\\ud800": 1}', "surrogate"),
            (b'["\\udc00\\ud800"]', "surrogate"),
            (b"\xff", "UTF-8"),
            (b"[" * 100_000, "nested"),
            (b'{"a":' * 65 + b"1" + b"}" * 65, "nested"),
            (b"9" * 5000, "too large"),
        ],
    )
    def test_what_readers_disagree_on_is_refused(self, text, says):
        with pytest.raises(BadJson, match=says):
            strictjson.loads(text)

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**63)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
            max_leaves=20,
        )
    )
    def test_everything_else_is_read(self, value):
        import json

        assert strictjson.loads(json.dumps(value).encode()) == value

    def test_brackets_in_strings_do_not_count(self):
        assert strictjson.loads(b'"' + b"[" * 200 + b'"') == "[" * 200


class TestContext:
    @pytest.mark.parametrize("sent", ["abcdefgh", "A.b_c-1234", "x" * 128])
    def test_a_well_formed_request_id_is_kept(self, sent):
        assert request_id_of(sent) == sent

    @pytest.mark.parametrize(
        "sent", [None, "", "short", "x" * 129, "has space", "new\nline!", "é" * 9]
    )
    def test_another_is_replaced(self, sent):
        assert request_id_of(sent) != sent

    def test_the_trace_is_named_after_the_request_where_nobody_named_it(self):
        trace, parent = trace_of(None, "01890a5d-ac96-774b-bcce-b302099a8057")
        assert trace == "01890a5dac96774bbcceb302099a8057"
        assert parent.startswith(f"00-{trace}-")

    def test_an_incoming_trace_goes_on(self):
        sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        assert trace_of(sent, "abcdefgh") == ("4bf92f3577b34da6a3ce929d0e0e4736", sent)


class TestSettings:
    class Mine(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="MINE_", frozen=True)

    def test_a_service_looks_at_its_own_variable_first_and_then_at_the_shared_one(
        self, monkeypatch
    ):
        monkeypatch.setenv("SWITCHYARD_ISSUER", "http://shared")
        monkeypatch.setenv("SWITCHYARD_AUDIENCE", "shared")
        monkeypatch.setenv("MINE_ISSUER", "http://own")
        assert (self.Mine().issuer, self.Mine().audience) == ("http://own", "shared")

    @pytest.mark.parametrize("given", ["short", "x" * 31, "x" * 32 + ",old", "x" * 32 + ","])
    def test_a_secret_with_a_short_part_is_refused_before_the_first_call(self, given):
        with pytest.raises(ValidationError, match=r"MESH_SECRET|at least 32"):
            self.Mine(mesh_secret=given)

    def test_production_needs_the_secret_that_services_share(self, monkeypatch):
        monkeypatch.setenv("SWITCHYARD_PROFILE", "production")
        with pytest.raises(ValidationError, match="MESH_SECRET"):
            self.Mine()


def test_a_caller_without_the_permission_is_told_which_one():
    from uuid import UUID

    with pytest.raises(Forbidden, match="Insufficient permissions: flag:toggle required"):
        Caller(subject="u", tenant=UUID(int=1)).must("flag:toggle")


@pytest.mark.parametrize("kind", ["anonymous", "service"])
def test_nobody_is_not_known(kind):
    from uuid import UUID

    with pytest.raises(Forbidden):
        Caller(subject="", tenant=UUID(int=1), kind=kind).must_be_known()
    Caller(subject="k", tenant=UUID(int=1), kind="api_key").must_be_known()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_the_usual_spellings_of_a_database_url_are_understood(scheme):
    assert driver_url(f"{scheme}://u:p@h:1/d?x=1") == "postgresql+asyncpg://u:p@h:1/d?x=1"


@pytest.mark.parametrize(
    "body", [{}, {"tenant": "t", "context": {"strange": 1}}, {"context": None}]
)
async def test_what_is_no_fact_is_refused_before_it_is_sent(body):
    letter = Letter(1, uuid4(), datetime(2026, 1, 1, tzinfo=UTC), body)
    async with aio.insecure_channel("127.0.0.1:1") as nobody:
        with pytest.raises(Invalid, match="this is not a fact"):
            await to_audit(nobody, "flags")([letter])
