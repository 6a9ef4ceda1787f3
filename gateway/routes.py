"""Which public path goes to which service, and who may use it at all.

The table is coarse: it turns away what can never be right, and every service checks again what it
is asked (a body may name another member than the path). Rules of a path are strict, so that the
gateway and a service can never read the same path differently: it must be in its one canonical
form, with nothing encoded that need not be, and nothing encoded that could act as a separator.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, unquote

from kit.auth.dependencies import check_roles
from kit.auth.principal import ROLES, Principal
from kit.errors import ServiceError

EVENTS, POINTS, MEMBERS, HERE = "events", "points", "members", "gateway"
SMALL_BYTES, BATCH_BYTES = 1024 * 1024, 8 * 1024 * 1024
READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
STAFF = ("agent", "marketer", "operator")
READERS = (*STAFF, "partner")
CLERKS = ("agent", "operator", "partner")
CASES = ("agent", "operator")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. ``owner`` also lets in the member whose id is in the path.

    ``*`` at the end of the template stands for any further segments. ``service`` HERE is answered
    by the gateway itself.
    """

    template: str
    service: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    owner: bool = False
    batch: bool = False
    methods: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        reads = READS if self.read or self.owner else frozenset[str]()
        object.__setattr__(self, "methods", reads | (WRITES if self.write else frozenset()))

    @property
    def most_body_bytes(self) -> int:
        """How large a body may be."""
        return BATCH_BYTES if self.batch else SMALL_BYTES

    def admit(self, method: str, principal: Principal, member_id: str | None) -> None:
        """Raise ServiceError ``forbidden`` when this caller has no business here."""
        roles = self.read if method in READS else self.write
        check_roles(principal, roles, owner_of=member_id if self.owner else None)


MEMBER = "/v1/members/{member_id}"
ROUTES = (
    Route("/v1/activities:batch", EVENTS, write=("member", *CLERKS), batch=True),
    Route("/v1/activities", EVENTS, read=READERS, write=("member", *CLERKS)),
    Route("/v1/activities/*", EVENTS, read=ROLES, write=CLERKS),
    Route(f"{MEMBER}/activities", EVENTS, read=READERS, write=CLERKS, owner=True),
    Route(f"{MEMBER}/activities/*", EVENTS, read=READERS, write=CLERKS, owner=True),
    Route(f"{MEMBER}/points", POINTS, read=READERS, write=CLERKS, owner=True),
    Route(f"{MEMBER}/points/*", POINTS, read=READERS, write=CLERKS, owner=True),
    Route("/v1/points/adjustments", POINTS, read=("operator",)),
    Route("/v1/points/alerts", POINTS, read=("marketer", "operator")),
    Route("/v1/points/reports/*", POINTS, read=("marketer", "operator")),
    Route(f"{MEMBER}/pools", POINTS, read=("agent", "operator"), owner=True),
    Route("/v1/pools", POINTS, write=("member",)),
    Route("/v1/pools/{pool_id}/redemptions", POINTS, read=("member", *CLERKS), write=("member",)),
    Route(
        "/v1/pools/{pool_id}/redemptions/*",
        POINTS,
        read=("member", *CLERKS),
        write=("member", *CLERKS),
    ),
    Route("/v1/pools/*", POINTS, read=("member", "agent", "operator"), write=("member",)),
    Route(f"{MEMBER}/rewards", POINTS, read=READERS, owner=True),
    Route(f"{MEMBER}/redemptions", POINTS, read=READERS, write=CLERKS, owner=True),
    Route(f"{MEMBER}/redemptions/*", POINTS, read=READERS, write=CLERKS, owner=True),
    Route("/v1/rewards", POINTS, read=ROLES),
    Route("/v1/rewards/*", POINTS, read=ROLES, write=("marketer", "operator")),
    Route(f"{MEMBER}/vouchers", POINTS, read=CASES, write=CASES, owner=True),
    Route("/v1/voucher-series", POINTS, read=STAFF),
    Route("/v1/voucher-series/*", POINTS, read=STAFF, write=("marketer", "operator")),
    Route("/v1/vouchers:validate", POINTS, write=CLERKS),
    Route("/v1/vouchers:redeem", POINTS, write=("partner",)),
    Route("/v1/vouchers/*", POINTS, write=("agent", "partner")),
    Route(f"{MEMBER}/home", HERE, read=READERS, owner=True),
    Route("/v1/members:batch", MEMBERS, write=CLERKS, batch=True),
    Route("/v1/members", MEMBERS, read=READERS, write=("member", *CLERKS)),
    Route(MEMBER, MEMBERS, read=READERS, write=CLERKS, owner=True),
    Route(f"{MEMBER}/*", MEMBERS, read=READERS, write=CLERKS, owner=True),
)


@dataclass(slots=True)
class _Node:
    below: dict[str, "_Node"] = field(default_factory=dict)
    route: Route | None = None
    rest: Route | None = None


def _tree(routes: Sequence[Route]) -> _Node:
    root = _Node()
    for route in routes:
        node, segments = root, route.template.split("/")[1:]
        for segment in segments:
            if segment == "*":
                node.rest = route
                break
            name = "{}" if segment.startswith("{") else segment
            node = node.below.setdefault(name, _Node())
        else:
            node.route = route
    return root


_ROOT = _tree(ROUTES)


class Match(NamedTuple):
    """A path and its line of the table; ``member_id`` decoded, when the path names a member."""

    path: str
    route: Route
    member_id: str | None


def match(path: str) -> Match | None:
    """Find the line for a canonical path; None when there is nothing at it.

    An action after a colon (``points:adjust``) belongs to what stands before it, unless the table
    names it.
    """
    segments = path.split("/")[1:]
    node, last = _ROOT, len(segments) - 1
    rest: Route | None = None
    for position, segment in enumerate(segments):
        below = _below(node, segment)
        rest = node.rest or rest
        if below is None:
            return _matched(path, rest, segments) if rest is not None else None
        if position == last and below.route is not None:
            return _matched(path, below.route, segments)
        node = below
    return _matched(path, rest, segments) if rest is not None else None


def _below(node: _Node, segment: str) -> _Node | None:
    found = node.below.get(segment)
    if found is None and ":" in segment:
        found = node.below.get(segment.partition(":")[0])
    return found or (node.below.get("{}") if segment else None)


def _matched(path: str, route: Route, segments: Sequence[str]) -> Match:
    named = len(segments) > 2 and segments[1] == "members"
    return Match(path, route, _decoded(segments[2]) if named else None)


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise _bad_path("it is not UTF-8") from error


def own_path(path: str, principal: Principal) -> str:
    """``/v1/me/points`` as this member's own ``/v1/members/{id}/points``."""
    if principal.member_id is None or not principal.has("member"):
        raise ServiceError(
            "forbidden", "no_member", "/v1/me needs a token of role member with a member id."
        )
    rest = path.removeprefix("/v1/me")
    return canonical(f"/v1/members/{quote(principal.member_id, safe='')}{rest}".encode())


_CHARACTERS = re.compile(rb"/(?:[A-Za-z0-9._~:@!$&'()*+,=/-]|%[0-9A-F]{2})*")
# Encoded without need (letters, digits, -._~), or what could be taken for a separator or a
# terminator once decoded (controls, slash, backslash, percent, DEL).
_WRONGLY_ENCODED = re.compile(
    rb"%(?:[01][0-9A-F]|2[5DEF]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5[CF]|7[EF])"
)


def canonical(raw_path: bytes) -> str:
    """The path as text if it is in canonical form; raises ServiceError ``malformed`` if not."""
    if not _CHARACTERS.fullmatch(raw_path):
        raise _bad_path("it has a character that must be percent-encoded (in capitals)")
    if b"//" in raw_path or (raw_path.endswith(b"/") and raw_path != b"/"):
        raise _bad_path("it has an empty segment")
    if b"/." in raw_path and any(part in (b".", b"..") for part in raw_path.split(b"/")):
        raise _bad_path("it has a dot segment")
    if b"%" in raw_path and _WRONGLY_ENCODED.search(raw_path):
        raise _bad_path("it has an encoding that is not allowed in a path")
    return raw_path.decode("ascii")


def _bad_path(reason: str) -> ServiceError:
    return ServiceError("malformed", "bad_path", f"The path is not usable: {reason}.")
