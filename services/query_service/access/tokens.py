"""Bearer tokens (JWT, RFC 7519), checked against a key set (RFC 7517) that settings give."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cachetools import LRUCache
from pydantic_core import PydanticCustomError

from orders import identifier
from query_service.access.caller import Caller, Role

LEEWAY = 30.0
LONGEST_TOKEN = 8 * 1024
REMEMBERED_TOKENS = 10_000
# The algorithm goes by the key, never by what a token says: a public key can then not be taken for a secret.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_CLAIMS = ("exp", "iss", "aud", "sub", "tenant", "role")
_SMALLEST_RSA = 2048


class InvalidKeys(ValueError):
    """The key set can't be used; the text says why, without the keys."""


class InvalidToken(Exception):
    """A token was refused; the text says why, for whoever sent it."""


class TokenChecker:
    """Tells who a token speaks for.

    A checked token is remembered until it expires: its signature need not be checked for each request.
    """

    def __init__(self, key_set: str, issuer: str, audience: str) -> None:
        """Take the keys of a JSON Web Key Set. Raises InvalidKeys."""
        self._keys = _read_keys(key_set)
        self._issuer = issuer
        self._audience = audience
        self._known: LRUCache[str, Caller] = LRUCache(REMEMBERED_TOKENS)

    def check(self, token: str) -> Caller:
        """Return the caller of a token. Raises InvalidToken."""
        caller = self._known.get(token)
        if caller is None:
            caller = self._known[token] = self._read(token)
        elif caller.expires_at is not None and caller.expires_at + LEEWAY <= time.time():
            del self._known[token]
            raise InvalidToken("The token has expired.")
        return caller

    def _read(self, token: str) -> Caller:
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken(f"The token is longer than {LONGEST_TOKEN} characters.")
        try:
            key = self._key_of(jwt.get_unverified_header(token))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": list(_CLAIMS), "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"The token lacks the claim {error.claim}.") from None
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError):
            raise InvalidToken("The token was not issued for this service, or not by its issuer.") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken("The token is broken, or its signature is not of a key known here.") from None
        return _caller(claims)

    def _key_of(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        named = header.get("kid")
        if named is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        key = self._keys.get(named) if isinstance(named, str) else None
        if key is None:
            raise InvalidToken("The token names no key that is known here.")
        return key


def _caller(claims: Mapping[str, Any]) -> Caller:
    try:
        named = {name: _text(claims[name]) for name in ("tenant", "sub")}
    except PydanticCustomError as error:
        raise InvalidToken(f"The token's tenant and sub {error.message()}.") from None
    try:
        role = Role(claims["role"])
    except ValueError:
        raise InvalidToken(f"The token's role is none of {', '.join(Role)}.") from None
    return Caller(named["tenant"], named["sub"], role, float(claims["exp"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("refused", "must be strings")
    return identifier(value)


def _read_keys(key_set: str) -> dict[str, jwt.PyJWK]:
    try:
        found = json.loads(key_set)["keys"]
        members = [dict(each) for each in found]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidKeys('the key set is no JSON object such as {"keys": […]} (RFC 7517)') from None
    if not members:
        raise InvalidKeys("the key set has no keys")
    keys: dict[str, jwt.PyJWK] = {}
    for number, each in enumerate(members, start=1):
        name = each.get("kid", "")
        if not isinstance(name, str) or (not name and len(members) > 1):
            raise InvalidKeys(f"key {number} has no kid: of several keys each needs one")
        if name in keys:
            raise InvalidKeys(f"two keys have the kid {name!r}")
        keys[name] = _read_key(number, each)
    return keys


def _read_key(number: int, member: Mapping[str, Any]) -> jwt.PyJWK:
    kind = (member.get("kty"), member.get("crv"))
    algorithm = next((name for known, name in _ALGORITHMS.items() if known == kind), None)
    if algorithm is None:
        raise InvalidKeys(f"key {number} is neither RSA nor EC on P-256 nor OKP on Ed25519")
    if member.get("alg", algorithm) != algorithm or member.get("use", "sig") != "sig":
        raise InvalidKeys(f"key {number} is not meant for signatures by {algorithm}")
    if "d" in member:
        raise InvalidKeys(f"key {number} is a private key: only the public half belongs here")
    try:
        key = jwt.PyJWK(dict(member), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise InvalidKeys(f"key {number} can't be read") from None
    if kind[0] == "RSA" and key.key.key_size < _SMALLEST_RSA:
        raise InvalidKeys(f"key {number} has fewer than {_SMALLEST_RSA} bits")
    return key
