"""An issuer of tokens for development: one private key in a file, no passwords, no users.

In production tokens come from the brand's identity provider; then no process has this key.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from kit.auth.principal import ROLES, STEP_UP

ALGORITHM = "ES256"


class LocalIssuer:
    """Signs tokens that a TokenVerifier with the same issuer, audience and ``jwks()`` accepts."""

    def __init__(
        self, key: ECKey, issuer: str, audience: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        key.ensure_kid()
        self._key = key
        self.issuer = issuer
        self.audience = audience
        self._clock = clock

    @classmethod
    def open(cls, path: Path, issuer: str, audience: str) -> "LocalIssuer":
        """Use the private key in ``path``; make it (readable by its owner alone) if it is absent.

        Processes that start together agree on one key: whoever links the file first wins.
        """
        if not path.exists():
            _create(path)
        return cls(ECKey.import_key(json.loads(path.read_text())), issuer, audience)

    def jwks(self) -> dict[str, Any]:
        """The public half, as a JWKS document."""
        return {"keys": [self._key.as_dict(private=False)]}

    def token(
        self,
        role: str,
        member_id: str | None = None,
        ttl_seconds: int = 3600,
        *,
        subject: str | None = None,
        partner: str | None = None,
        step_up: bool = False,
    ) -> str:
        """A signed token for one role, valid from now on for ``ttl_seconds``.

        With ``step_up`` it says that the caller used a second factor.
        """
        if role not in ROLES:
            raise ValueError(f"role {role!r} is not one of {', '.join(ROLES)}")
        if role == "member" and not member_id:
            raise ValueError("a token for role member needs the member's id")
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject or (f"member:{member_id}" if role == "member" else f"dev:{role}"),
            "iat": now,
            "exp": now + ttl_seconds,
            "roles": [role],
            "member_id": member_id,
            "partner": partner,
            "acr": STEP_UP if step_up else None,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": ALGORITHM, "kid": self._key.kid}, present, self._key)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    mine = path.with_name(f"{path.name}.{token_hex(8)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(key.as_dict(private=True), file)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
