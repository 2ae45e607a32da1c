"""The verifier against what others published: the examples of the RFCs, and the families of ECDSA attacks.

The examples stand here. Project Wycheproof's vectors are run, all of them, from a copy of its `testvectors_v1` folder
where `WYCHEPROOF` names one.
"""

import json
import os
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry
from joserfc.jws import JWSRegistry

from chassis.tokens import BadToken, check_signature, public_key

# The order of the group of P-256 (FIPS 186-5, SEC 2).
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ES256 = {  # RFC 7515, appendix A.3
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
JOE = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
SIGNED = (
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
FRODO = (
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZ"
    "CwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZX"
    "B0IG9mZiB0by4"
)
# Where from, the algorithm, the key, the token. joserfc takes each of them; we take none.
FOREIGN = [
    (
        "RFC 7515, A.1",
        "HS256",
        {
            "kty": "oct",
            "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        },
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        "RFC 7515, A.4",
        "ES512",
        {
            "kty": "EC",
            "crv": "P-521",
            "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
            "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
        },
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7Xdt"
        "AG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    ),
    (
        "RFC 7520, 4.4",
        "HS256",
        {"kty": "oct", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"},
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9."
        f"{FRODO}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
    ),
    (
        "RFC 8037, A.4",
        "EdDSA",
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
]
UNSECURED = f"eyJhbGciOiJub25lIn0.{JOE}."  # RFC 7515, A.5
FLATTENED = json.dumps(  # RFC 7515, A.7
    {
        "payload": JOE,
        "protected": "eyJhbGciOiJFUzI1NiJ9",
        "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
        "signature": SIGNED.rpartition(".")[2],
    }
)


def b64(raw):
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def holds(token, key):
    """Whether the signature holds, by the check that the verifier makes after its own."""
    try:
        check_signature(token, key)
    except BadToken:
        return False
    return True


def test_the_example_of_our_algorithm_holds_and_is_no_access_token(verifier):
    key = public_key(json.dumps(ES256))
    assert holds(SIGNED, key)
    with pytest.raises(BadToken, match=r"at\+jwt"):
        verifier.verify(SIGNED, {"any": key}, 0)


@pytest.mark.parametrize(
    ("source", "algorithm", "jwk", "token"), FOREIGN, ids=lambda v: str(v)[:20]
)
def test_an_example_of_another_algorithm_is_refused_with_its_own_key(
    verifier, source, algorithm, jwk, token
):
    key = JWKRegistry.import_key(jwk)
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        assert jws.deserialize_compact(token, key, algorithms=[algorithm])
    assert not holds(token, key)
    with pytest.raises(BadToken):
        verifier.verify(token, {"any": key}, 0)
    with pytest.raises((ValueError, AttributeError, JoseError)):
        public_key(json.dumps(jwk))


@pytest.mark.parametrize("token", [UNSECURED, FLATTENED, json.dumps({"signatures": []})])
def test_what_is_not_signed_or_not_compact_is_refused(verifier, token):
    key = public_key(json.dumps(ES256))
    assert not holds(token, key)
    with pytest.raises(BadToken):
        verifier.verify(token, {"any": key}, 0)


def numbers(token):
    raw = urlsafe_b64decode(token.rpartition(".")[2] + "==")
    return int.from_bytes(raw[:32]), int.from_bytes(raw[32:])


def resigned(token, raw):
    return f"{token.rpartition('.')[0]}.{b64(raw)}"


def pair(r, s, size=32):
    return r.to_bytes(size) + s.to_bytes(size)


def spoiled(r, s):
    """Yield what a lenient verifier of ECDSA takes (Wycheproof's families), as raw signatures."""
    yield from (
        pair(a, b) for a in (0, 1, N - 1, N, 2**256 - 1) for b in (0, 1, N - 1, N, 2**256 - 1)
    )
    yield from (pair(r, 0), pair(0, s), pair(r, N), pair(N, s), pair(s, r), pair(N - r, s))
    yield pair(r, s, 66)  # the width of ES512
    yield pair(r, s, 33)
    yield from (pair(r + N, s, 33), pair(r, s + N, 33))
    yield encode_dss_signature(r, s)  # DER, as X.509 has it
    yield from (pair(r, s)[:63], pair(r, s) + b"\x00", b"\x00" + pair(r, s), pair(r, s) * 2)
    yield from (b"", b"\x00" * 64, b"\xff" * 64, b"\x00")


def test_no_lenient_spelling_of_a_signature_is_taken(signer, verifier):
    token = signer.sign()
    assert verifier.verify(token, signer.keys, signer.now)
    for raw in spoiled(*numbers(token)):
        with pytest.raises(BadToken):
            verifier.verify(resigned(token, raw), signer.keys, signer.now)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bit=st.integers(0, 511))
def test_no_bit_of_a_signature_may_differ(signer, verifier, bit):
    token = signer.sign()
    raw = bytearray(pair(*numbers(token)))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadToken, match="signature"):
        verifier.verify(resigned(token, bytes(raw)), signer.keys, signer.now)


# ------------------------------------------------------------ Project Wycheproof, where there is a copy


def wycheproof(name):
    if not (folder := os.environ.get("WYCHEPROOF")):
        pytest.skip("WYCHEPROOF names no copy of Wycheproof's testvectors_v1")
    groups = json.loads((Path(folder) / f"{name}.json").read_text())["testGroups"]
    return [(group, case) for group in groups for case in group["tests"]]


def test_wycheproofs_signatures_are_judged_as_wycheproof_does():
    """ECDSA on P-256 with SHA-256 in the form of JOSE (r and s side by side): by the primitive that we rely on."""
    algorithm, wrong = JWSRegistry.algorithms["ES256"], []
    cases = wycheproof("ecdsa_secp256r1_sha256_p1363_test")
    for group, case in cases:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        x, y = b64(point[1:33]), b64(point[33:])
        key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
        try:
            held = algorithm.verify(message, signature, key)
        except ValueError:
            held = False
        if held != (case["result"] == "valid"):
            wrong.append((case["tcId"], case["comment"], held))
    assert len(cases) > 200
    assert wrong == []


def test_of_wycheproofs_tokens_only_valid_ones_of_our_algorithm_hold(verifier):
    wrong, ours, cases = [], 0, wycheproof("json_web_signature_test")
    for group, case in cases:
        jwk = group.get("public") or group["private"]
        token, said = case["jws"], jwk.get("alg") == "ES256" and case["result"] == "valid"
        if not isinstance(token, str):
            token = json.dumps(token)
        key = JWKRegistry.import_key({**jwk})
        ours += said
        if holds(token, key) != said:
            wrong.append((case["tcId"], case["comment"], said))
        with pytest.raises(BadToken):
            verifier.verify(token, {jwk.get("kid", "any"): key}, 0)
    assert len(cases) > 300
    assert ours > 0
    assert wrong == []
