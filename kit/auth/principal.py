"""Who is calling, as the token says."""

from dataclasses import dataclass

ROLES = ("member", "agent", "marketer", "operator", "partner")
STEP_UP = "step_up"
"""The ``acr`` of a token for which the caller used a second factor."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: the token's subject, the roles it grants, and on whose behalf.

    ``member_id`` is the member that a caller with role ``member`` is; ``partner`` the partner that
    a caller with role ``partner`` works for. ``stepped_up``: they signed in with a second factor.
    """

    subject: str
    roles: frozenset[str]
    member_id: str | None = None
    partner: str | None = None
    stepped_up: bool = False

    def has(self, *roles: str) -> bool:
        """Whether the caller has at least one of these roles."""
        return not self.roles.isdisjoint(roles)

    def is_member(self, member_id: str) -> bool:
        """Whether the caller is this member."""
        return self.member_id == member_id and "member" in self.roles
