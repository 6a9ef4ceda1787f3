"""Access tokens (JWT, RFC 9068 in spirit): checked in full once, then remembered for a while.

Invariants:

* Only RS256, ES256 and EdDSA (Ed25519); the key's type decides, never the token's header alone.
* ``iss`` and ``aud`` must match, ``exp`` and ``sub`` must be there, ``nbf`` and ``iat`` are
  honoured, with ``leeway_seconds`` for clocks that differ.
* A remembered token is forgotten at its ``exp``, and after ``remember_seconds`` in any case, so
  that a key the issuer withdraws stops working soon.

Claims read: ``sub``, ``roles`` (a list, or words in a text), ``member_id``, ``partner``. Roles that
Mooring does not know are passed over: an identity provider serves others too. ``acr`` "step_up" or
an ``amr`` with "mfa" (RFC 8176) says that the caller signed in with a second factor.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import (
    ExpiredTokenError,
    InsecureClaimError,
    InvalidClaimError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from kit.auth.keys import KeySource, PublicKey, RemoteKeys, StaticKeys
from kit.auth.principal import ROLES, STEP_UP, Principal
from kit.errors import ServiceError

ALGORITHMS = {"RSA": ("RS256",), "EC": ("ES256",), "OKP": ("EdDSA", "Ed25519")}
ALLOWED = ("RS256", "ES256", "EdDSA", "Ed25519")
LONGEST_TOKEN = 8192
LONGEST_NAME = 128


class _Registry(JWSRegistry):
    # joserfc warns about the name EdDSA (RFC 9864 prefers Ed25519), which issuers still use; the
    # curve is fixed to Ed25519 by the key.
    def get_alg(self, name: str) -> Any:
        if name not in ALLOWED:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=ALLOWED, strict_check_header=False)


class TokenVerifier:
    """Turns a bearer token into a Principal, or raises ServiceError ``unauthenticated``.

    ``keys`` is the address of a key set, a JWKS document, or a KeySource.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: str | Mapping[str, Any] | KeySource,
        *,
        clock: Callable[[], float] = time.time,
        leeway_seconds: int = 30,
        remember: int = 50_000,
        remember_seconds: float = 300.0,
    ) -> None:
        self._keys = _key_source(keys)
        self._clock = clock
        self._leeway = leeway_seconds
        self._remember = remember
        self._remember_seconds = remember_seconds
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._claims = JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=leeway_seconds,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The caller this token speaks for. A token seen before costs a few microseconds."""
        return self.recall(token) or await self._check(token)

    def recall(self, token: str) -> Principal | None:
        """The caller, if this very token was checked before and still holds."""
        digest = _digest(token)
        known = self._known.get(digest)
        if known is None:
            return None
        principal, until = known
        if self._clock() < until:
            return principal
        del self._known[digest]
        return None

    async def _check(self, token: str) -> Principal:
        if len(token) > LONGEST_TOKEN:
            raise refuse_token("token_malformed", "The bearer token is too long.")
        key = await self._key_for(token)
        claims = self._signed_claims(token, key)
        principal = _principal(claims)
        self._keep(_digest(token), principal, float(claims["exp"]))
        return principal

    async def _key_for(self, token: str) -> PublicKey:
        header = _header(token)
        if header.get("alg") not in ALLOWED:
            raise refuse_token("token_algorithm", f"Sign tokens with one of {', '.join(ALLOWED)}.")
        kid = header.get("kid")
        key = await self._keys.find(kid if isinstance(kid, str) else None)
        if key is None:
            raise refuse_token("token_key", "The token's key is not known here.")
        return key

    def _signed_claims(self, token: str, key: PublicKey) -> dict[str, Any]:
        try:
            allowed = list(ALGORITHMS[key.key_type])
            claims = jwt.decode(token, key, algorithms=allowed, registry=_REGISTRY).claims
        except (JoseError, ValueError) as error:
            raise refuse_token("token_signature", "The token's signature is not valid.") from error
        try:
            self._claims.validate(claims)
        except JoseError as error:
            raise _refused_claim(error) from error
        return claims

    def _keep(self, digest: bytes, principal: Principal, expires_at: float) -> None:
        if len(self._known) >= self._remember:
            del self._known[next(iter(self._known))]
        until = min(expires_at + self._leeway, self._clock() + self._remember_seconds)
        self._known[digest] = (principal, until)


def refuse_token(code: str, message: str) -> ServiceError:
    """A token that cannot be accepted, with what the caller can do about it."""
    return ServiceError("unauthenticated", code, message)


def _key_source(keys: str | Mapping[str, Any] | KeySource) -> KeySource:
    if isinstance(keys, str):
        return RemoteKeys(keys)
    return StaticKeys(keys) if isinstance(keys, Mapping) else keys


def _digest(token: str) -> bytes:
    # A digest, so that no usable token is kept in memory; 1 µs for 600 characters.
    return blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()


def _header(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        if len(parts) == 3:
            return msgspec.json.decode(_base64url(parts[0]), type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError):
        pass
    raise refuse_token("token_malformed", "The bearer token is not a signed JWT.")


def _base64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refused_claim(error: JoseError) -> Exception:
    if isinstance(error, ExpiredTokenError):
        return refuse_token("token_expired", "The token has expired. Get a new one.")
    if isinstance(error, MissingClaimError | InvalidClaimError | InsecureClaimError):
        claim = error.claim
        wording = _CLAIM_WORDING.get(claim, f"The token's claim `{claim}` is missing or wrong.")
        return refuse_token(_CLAIM_CODES.get(claim, "token_claims"), wording)
    return refuse_token("token_claims", "The token's claims are not valid.")


_CLAIM_CODES = {
    "iss": "token_issuer",
    "aud": "token_audience",
    "exp": "token_expiry",
    "nbf": "token_not_yet_valid",
}
_CLAIM_WORDING = {
    "iss": "The token comes from an issuer that is not trusted here.",
    "aud": "The token was issued for another audience.",
    "exp": "The token must carry an expiry time (`exp`).",
    "nbf": "The token is not valid yet. Check the clocks.",
}


def _principal(claims: Mapping[str, Any]) -> Principal:
    roles = claims.get("roles", ())
    words = roles.split() if isinstance(roles, str) else roles
    if not isinstance(words, list | tuple):
        raise refuse_token("token_claims", "The token's claim `roles` must be a list of texts.")
    return Principal(
        subject=str(claims["sub"])[:LONGEST_NAME],
        roles=frozenset(role for role in words if role in ROLES),
        member_id=_name(claims, "member_id"),
        partner=_name(claims, "partner"),
        stepped_up=_is_stepped_up(claims),
    )


def _is_stepped_up(claims: Mapping[str, Any]) -> bool:
    methods = claims.get("amr")
    return claims.get("acr") == STEP_UP or (isinstance(methods, list) and "mfa" in methods)


def _name(claims: Mapping[str, Any], claim: str) -> str | None:
    value = claims.get(claim)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise refuse_token("token_claims", f"The token's claim `{claim}` must be a short text.")
    return value
