"""The issuer's public keys: fixed ones, or a key set fetched by address and kept."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeGuard

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from kit.errors import Unavailable

PublicKey = RSAKey | ECKey | OKPKey
LEAST_RSA_BITS = 2048
MOST_JWKS_BYTES = 256 * 1024


class KeySource(Protocol):
    """Finds the public key that a token names."""

    async def find(self, kid: str | None) -> PublicKey | None:
        """The key with this id; with None the only key, if there is only one."""


class StaticKeys:
    """Keys known from the start (a JWKS document)."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = usable_keys(jwks)

    async def find(self, kid: str | None) -> PublicKey | None:
        """The key with this id; with None the only key, if there is only one."""
        return pick(self._keys, kid)


class RemoteKeys:
    """A key set fetched from ``url``, again when a token names a key that is not in it.

    Anyone can make up key ids, so the set is fetched at most once every ``pause_seconds``. It is
    also fetched anew after ``fresh_seconds``, so that a key the issuer has withdrawn goes; while
    the issuer cannot be reached the known keys stay.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause_seconds: float = 10.0,
        fresh_seconds: float = 600.0,
    ) -> None:
        self._url = url
        self._transport = transport
        self._clock = clock
        self._pause = pause_seconds
        self._fresh = fresh_seconds
        self._keys: dict[str, PublicKey] | None = None
        self._tried_at = float("-inf")
        self._failure = "not asked yet"
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> PublicKey | None:
        """The key with this id; raises Unavailable while no key set has ever been read."""
        found = pick(self._keys or {}, kid)
        if found is None or self._clock() - self._tried_at > self._fresh:
            await self._refresh()
            found = pick(self._keys or {}, kid)
        if self._keys is None:
            raise Unavailable("The identity provider", self._failure)
        return found

    async def _refresh(self) -> None:
        async with self._lock:
            if self._clock() - self._tried_at < self._pause:
                return
            self._tried_at = self._clock()
            try:
                self._keys = usable_keys(await self._fetch())
            except (httpx.HTTPError, ValueError, TypeError) as error:
                self._failure = type(error).__name__

    async def _fetch(self) -> Mapping[str, Any]:
        async with httpx.AsyncClient(transport=self._transport, timeout=3.0) as client:
            response = await client.get(self._url)
        response.raise_for_status()
        if len(response.content) > MOST_JWKS_BYTES:
            raise ValueError("the key set is too large")
        document = response.json()
        if not isinstance(document, dict):
            raise ValueError("the key set is not a JSON object")
        return document


def pick(keys: Mapping[str, PublicKey], kid: str | None) -> PublicKey | None:
    """The key with this id; with None the only key, if there is only one."""
    if kid is not None:
        return keys.get(kid)
    return next(iter(keys.values())) if len(keys) == 1 else None


def usable_keys(jwks: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The keys of a JWKS document fit for checking signatures, by id; the others are passed over.

    Secret (``oct``) keys are never taken: that would let a public key serve as an HMAC secret.
    """
    entries = jwks.get("keys")
    if not isinstance(entries, list):
        raise ValueError("a key set has a list named `keys`")
    return dict(_usable(entries))


def _usable(entries: Iterable[Any]) -> Iterable[tuple[str, PublicKey]]:
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key(entry)
            key.ensure_kid()
        except (JoseError, ValueError, KeyError, TypeError):
            continue
        if _is_strong(key) and key.kid:
            yield key.kid, key


def _is_strong(key: object) -> TypeGuard[PublicKey]:
    if isinstance(key, RSAKey):
        return bool(key.raw_value.key_size >= LEAST_RSA_BITS)
    if isinstance(key, ECKey):
        return key.curve_name == "P-256"
    return isinstance(key, OKPKey) and key.curve_name == "Ed25519"
