import json
from base64 import urlsafe_b64encode

import pytest
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import JWSRegistry

from chassis.tokens import BadToken, public_key


def b64(value):
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def unsigned(header, claims):
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}."


def test_a_token_of_ours_is_believed(signer, verifier):
    claims = verifier.verify(signer.sign(scope="flag:read flag:toggle"), signer.keys, signer.now)
    assert claims.subject.endswith("01")
    assert claims.scope == {"flag:read", "flag:toggle"}


def test_a_list_of_audiences_may_name_us(signer, verifier):
    token = signer.sign(aud=["elsewhere", "switchyard"])
    assert verifier.verify(token, signer.keys, signer.now).session == "s1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iss": "http://evil.test"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "elsewhere"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": ["elsewhere"]}, "audience"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": "9999999999"}, "exp"),
        ({"iat": 99999999999}, "future"),
        ({"nbf": 99999999999}, "future"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"tid": ""}, "tid"),
        ({"sid": None}, "sid"),
        ({"exp": float("nan")}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"exp": 10**400}, "exp is no time"),
        ({"iat": float("-inf")}, "iat is no time"),
        ({"iat": None}, "iat"),
        ({"nbf": "1"}, "nbf"),
        ({"sub": ["root"]}, "sub"),
        ({"scope": ["flag:read"]}, "scope"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(signer, verifier, changes, says):
    with pytest.raises(BadToken, match=says):
        verifier.verify(signer.sign(**changes), signer.keys, signer.now)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": "unknown"},
        {"kid": "../../etc/passwd"},
        {"kid": "k1' OR 1=1 --"},
        {"kid": "k" * 65},
        {"crit": ["b64"], "b64": True},
    ],
)
def test_a_token_with_a_wrong_header_is_refused(signer, verifier, header):
    with pytest.raises(BadToken):
        verifier.verify(signer.sign(header), signer.keys, signer.now)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"kid": "k1\x00"},
        {"kid": "k1\n"},
        {"kid": ["k1"]},
        {"kid": ""},
        {"typ": "at+JWT"},
        {"typ": ["at+jwt"]},
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"b64": True},
        {"alg": ["ES256"]},
        {"alg": "es256"},
    ],
)
def test_a_header_that_no_library_would_write_is_refused_although_its_signature_holds(
    signer, verifier, header
):
    """Signed beside the library, which refuses to: so nothing but the header can be what is wrong."""
    head = {"alg": "ES256", "typ": "at+jwt", "kid": "k1"} | header
    said = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(signer.claims()).encode())}"
    signature = JWSRegistry.algorithms["ES256"].sign(said.encode(), signer.key)
    token = f"{said}.{b64(signature)}"
    if not header:
        assert verifier.verify(token, signer.keys, signer.now)
        return
    with pytest.raises(BadToken):
        verifier.verify(token, signer.keys, signer.now)


def test_a_token_without_a_signature_is_refused(signer, verifier):
    for alg in ("none", "None", "NONE", "ES256"):
        header = {"alg": alg, "typ": "at+jwt", "kid": "k1"}
        with pytest.raises(BadToken):
            verifier.verify(unsigned(header, signer.claims()), signer.keys, signer.now)


def test_the_public_key_is_no_secret_to_sign_with(signer, verifier):
    pem = signer.key.as_pem(private=False)
    token = signer.sign({"alg": "HS256"}, OctKey.import_key(b64(pem)))
    with pytest.raises(BadToken, match="ES256"):
        verifier.verify(token, signer.keys, signer.now)


def test_a_key_brought_along_in_the_header_is_not_looked_at(signer, verifier):
    own = ECKey.generate_key("P-256", {"kid": "k1"})
    where = {name: "http://evil.test/keys" for name in ("jku", "x5u")}
    header = {"jwk": own.as_dict(private=False), "x5c": ["MIIB"], **where}
    with pytest.raises(BadToken, match="signature"):
        verifier.verify(signer.sign(header, own), signer.keys, signer.now)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t + "=",
        lambda t: t + ".x",
        lambda t: t.replace(".", ".\n", 1),
        lambda t: " " + t,
        lambda t: t[:-2],
        lambda t: "x" * 9000,
        lambda t: t + "A" * (2 << 20),
        lambda t: t.replace(".", "=.", 1),
        lambda t: t.replace("-", "+").replace("_", "/") + "+/",
        lambda t: t + "\x00",
        lambda t: f"Bearer {t}",
        lambda t: "",
        lambda t: "..",
        lambda t: "é.é.é",
    ],
)
def test_a_token_that_is_spelled_otherwise_is_refused(signer, verifier, spoil):
    with pytest.raises(BadToken):
        verifier.verify(spoil(signer.sign()), signer.keys, signer.now)


def test_the_unused_bits_of_the_last_character_must_be_zero(signer, verifier):
    token = signer.sign()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(token[-1]) + 1]
    with pytest.raises(BadToken, match="canonically"):
        verifier.verify(token[:-1] + other, signer.keys, signer.now)


def test_a_claim_that_is_said_twice_is_refused(signer, verifier):
    said = json.dumps(signer.claims())
    twice = said[:-1] + ', "tid": "00000000-0000-0000-0000-00000000000a"}'
    with pytest.raises(BadToken, match="twice"):
        verifier.verify(signer.sign(payload=twice), signer.keys, signer.now)


def test_claims_that_are_no_object_are_refused(signer, verifier):
    for payload in ("[]", "1", '"x"', "null", "{", "[" * 3000):
        with pytest.raises(BadToken):
            verifier.verify(signer.sign(payload=payload), signer.keys, signer.now)


def test_an_old_token_is_believed_within_the_leeway_only(signer, verifier):
    token = signer.sign(exp=int(signer.now) - 10)
    assert verifier.verify(token, signer.keys, signer.now)
    with pytest.raises(BadToken, match="expired"):
        verifier.verify(token, signer.keys, signer.now + 25)


def test_a_clock_five_minutes_ahead_signs_tokens_that_are_believed_and_no_further(signer, verifier):
    for when in ("iat", "nbf"):
        assert verifier.verify(
            signer.sign(**{when: int(signer.now) + 299}), signer.keys, signer.now
        )
        with pytest.raises(BadToken, match="future"):
            verifier.verify(signer.sign(**{when: int(signer.now) + 302}), signer.keys, signer.now)


def test_only_p256_keys_are_taken():
    weak = ECKey.generate_key("P-384")
    with pytest.raises(ValueError, match="P-256"):
        public_key(json.dumps(weak.as_dict(private=False)))
