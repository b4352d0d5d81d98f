"""Which tokens are believed, and whom they speak for."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from query_service.access import Caller, InvalidKeys, InvalidToken, Role, TokenChecker

ISSUER, AUDIENCE = "https://issuer.test", "tillstream"
RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
STRANGER = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str | None = None) -> dict[str, Any]:
    """Give the public half of a key as a member of a key set."""
    algorithm: Any = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }[next(kind for kind in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
           if isinstance(key, kind))]  # fmt: skip
    member = json.loads(algorithm.to_jwk(key.public_key()))
    return member if kid is None else {**member, "kid": kid}


def key_set(*members: Any) -> str:
    return json.dumps({"keys": members})


def checker(*members: Any) -> TokenChecker:
    return TokenChecker(key_set(*members), ISSUER, AUDIENCE)


def claims(**changes: Any) -> dict[str, Any]:
    """Give what a token needs to say; None leaves a claim out."""
    everything = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": int(time.time()) + 60,
        "sub": "anna",
        "tenant": "store-1",
        "role": "manager",
        **changes,
    }
    return {name: value for name, value in everything.items() if value is not None}


def token(key: Any = ED25519, algorithm: str = "EdDSA", kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED25519, "EdDSA")], ids=["RSA", "EC", "Ed25519"]
)
def test_a_token_signed_with_a_known_key_is_believed(key: Any, algorithm: str) -> None:
    """Each kind of key has its algorithm; the token says who, of which tenant, in which role, until when."""
    expires = int(time.time()) + 60
    found = checker(public(key)).check(token(key, algorithm, exp=expires))
    assert found == Caller("store-1", "anna", Role.MANAGER, float(expires))


def test_of_several_keys_the_named_one_counts() -> None:
    """A token names its key by kid, so that a new key can be there before the old one goes."""
    both = checker(public(RSA, "old"), public(ED25519, "new"))
    assert both.check(token(kid="new")).actor == "anna"
    assert both.check(token(RSA, "RS256", kid="old")).actor == "anna"
    for wrong in (token(), token(kid="old"), token(kid="none such")):
        with pytest.raises(InvalidToken):
            both.check(wrong)


# Fixed, since a case is named for them: 2001, and 2096.
_PAST, _FUTURE = 1_000_000_000, 4_000_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": _PAST},
        {"nbf": _FUTURE},
        {"iss": "https://elsewhere.test"},
        {"aud": "another service"},
        {"aud": [AUDIENCE, "another service"]},
        {"role": "owner"},
        {"role": ["manager"]},
        {"tenant": ""},
        {"tenant": "x" * 65},
        {"tenant": "store\n1"},
        {"tenant": 7},
        {"sub": "a\x00b"},
        {"exp": "soon"},
        *({name: None} for name in ("exp", "iss", "aud", "sub", "tenant", "role")),
    ],
    ids=str,
)
def test_a_token_that_says_too_little_or_too_late_is_refused(changes: dict[str, Any]) -> None:
    """Each claim is required and checked, however well the token is signed."""
    with pytest.raises(InvalidToken):
        checker(public(ED25519)).check(token(**changes))


def test_clocks_may_differ_a_little_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is good for 30 seconds more than it says, and no longer, also once it is remembered."""
    found = checker(public(ED25519))
    late = token(exp=int(time.time()) - 20)
    assert found.check(late).actor == "anna"
    with pytest.raises(InvalidToken, match="expired"):
        found.check(token(exp=int(time.time()) - 40))
    now = time.time()
    monkeypatch.setattr("query_service.access.tokens.time.time", lambda: now + 11)
    with pytest.raises(InvalidToken, match="expired"):
        found.check(late)


def forged(algorithm: str, secret: bytes = b"") -> str:
    """Give a token without a signature, or with one by a shared secret."""
    parts = [{"alg": algorithm, "typ": "JWT"}, claims()]
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )
    signature = hmac.digest(secret, text.encode(), hashlib.sha256) if secret else b""
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "wrong",
    [
        forged("none"),
        forged("None"),
        forged("HS256", RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        forged("HS256", json.dumps(public(RSA)).encode()),
        token(STRANGER),
        token(RSA, "RS512"),
        token(RSA, "PS256"),
        token(RSA, "RS256")[:-4],
        token(RSA, "RS256") + ".more",
        "",
        "...",
        "x" * 10_000,
        "\N{SNOWMAN}.a.b",
        "eyJhbGciOiJSUzI1NiJ9." + "W" * 4000 + ".c",
    ],
    ids=lambda text: text[:12],
)
def test_a_token_that_was_not_signed_by_a_known_key_is_refused(wrong: str) -> None:
    """No algorithm, a shared secret, a stranger's key, another algorithm, a broken text: all are refused."""
    with pytest.raises(InvalidToken):
        checker(public(RSA)).check(wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ('{"keys": [7]}', "no JSON object"),
        (key_set(), "has no keys"),
        (key_set({"kty": "oct", "k": "c2VjcmV0"}), "neither RSA nor EC"),
        (key_set({"kty": ["RSA"]}), "neither RSA nor EC"),
        (key_set({**public(EC), "crv": "P-384"}), "neither RSA nor EC"),
        (key_set(public(rsa.generate_private_key(65537, 1024))), "fewer than 2048 bits"),  # noqa: S505 - refused
        (key_set({"kty": "RSA"}), "can't be read"),
        (key_set({**public(RSA), "alg": "RS512"}), "not meant for signatures by RS256"),
        (key_set({**public(RSA), "use": "enc"}), "not meant for signatures"),
        (key_set({**public(ED25519), "d": "c2VjcmV0"}), "private"),
        (key_set(public(RSA), public(EC)), "has no kid"),
        (key_set(public(RSA, "a"), public(EC, "a")), "two keys"),
    ],
)
def test_a_key_set_that_cannot_be_used_is_told(text: str, told: str) -> None:
    """A key of another kind, a private one or one without a name is refused, and never quoted."""
    with pytest.raises(InvalidKeys, match=told) as caught:
        TokenChecker(text, ISSUER, AUDIENCE)
    assert "c2VjcmV0" not in str(caught.value)
