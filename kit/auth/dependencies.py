"""What an endpoint says about its callers: ``Depends(require("agent"))``, ``Depends(owner_or())``.

A caller who asks for another member's things gets 403, not 404. The check comes before anything is
looked up, so the answer is the same whether that member exists or not and tells nothing; and an
honest client sees that its token is the problem, not the id.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import Request

from kit.auth.principal import Principal
from kit.auth.tokens import TokenVerifier
from kit.errors import ServiceError


@dataclass(frozen=True)
class Require:
    """The dependency: a valid token with one of ``roles``, or (``owner``) the member's own."""

    roles: tuple[str, ...]
    owner: bool = False

    @property
    def documented_roles(self) -> list[str]:
        """The roles as the API documentation names them."""
        return sorted({*self.roles, "member"} if self.owner else self.roles)

    async def __call__(self, request: Request) -> Principal:
        """The caller; raises ServiceError ``unauthenticated`` or ``forbidden``."""
        verifier: TokenVerifier = request.app.state.verifier
        principal = await verifier.verify(bearer_token(request.headers.get("authorization")))
        check_roles(principal, self.roles, owner_of=self._owner_of(request))
        return principal

    def _owner_of(self, request: Request) -> str | None:
        return str(request.path_params["member_id"]) if self.owner else None


def require(*roles: str) -> Any:
    """Let in callers with at least one of these roles; without roles, any valid token."""
    return Require(roles)


def owner_or(*roles: str) -> Any:
    """Let in the member whose id is the path parameter ``member_id``, and these roles."""
    return Require(roles, owner=True)


def bearer_token(header: str | None) -> str:
    """The token in an Authorization header."""
    if not header:
        raise ServiceError(
            "unauthenticated", "token_missing", "Send an access token: `Authorization: Bearer …`."
        )
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ServiceError(
            "unauthenticated", "token_scheme", "Use the scheme Bearer: `Authorization: Bearer …`."
        )
    return token.strip()


def check_roles(principal: Principal, roles: tuple[str, ...], *, owner_of: str | None) -> None:
    """Raise ``forbidden`` unless the caller has one of the roles or is the member in question."""
    if owner_of is not None and principal.is_member(owner_of):
        return
    if principal.has(*roles) or not (roles or owner_of is not None):
        return
    if owner_of is not None and principal.has("member"):
        raise ServiceError(
            "forbidden", "not_your_member", "A member sees only their own. Use /v1/me."
        )
    needed = sorted({*roles, "member"} if owner_of is not None else roles)
    raise ServiceError(
        "forbidden",
        "role_missing",
        f"This needs one of the roles {', '.join(needed)}.",
        roles_needed=needed,
    )


def partner_of(principal: Principal) -> str | None:
    """The partner that a caller with role partner works for; to other callers, None.

    Raises ``forbidden`` when the token of a partner does not say which.
    """
    if not principal.has("partner"):
        return None
    if principal.partner is None:
        raise ServiceError(
            "forbidden", "partner_missing", "The token of a partner needs the claim `partner`."
        )
    return principal.partner
