"""Who asks for what when: the parts of a request on an account that all use cases share."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from kit.auth import Principal
from kit.clock import SECOND, to_micros
from kit.errors import ServiceError
from kit.http.idempotency import derived_id
from services.points.policy import Rules

EARLIEST = 631_152_000 * SECOND  # 1990-01-01
TOLERANCE = 300 * SECOND  # clocks of senders may be fast
STAFF = ("agent", "operator", "partner")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on an account; of a pool's, always as one of its members.

    ``id`` names what it makes and follows from who asks and their idempotency key; ``by`` is the
    name that the ledger keeps; ``own``: the member asks for themselves, so limits that protect them
    hold. ``historic``: it happened earlier, and was not asked for on a device or just now.
    """

    owner: str
    id: str
    by: str
    at: int
    own: bool = True
    stepped_up: bool = False
    historic: bool = False
    device_id: str | None = None

    @property
    def key(self) -> str:
        """The key of the fact it makes: one request, one fact, whatever it asks for."""
        return request_key(self.id)


def request_key(id_: str) -> str:
    """The key of the fact that a request made; ``id_`` without its prefix tells requests apart."""
    return f"request:{id_.partition('_')[2]}"


def asked(
    principal: Principal,
    owner: str,
    prefix: str,
    key: str,
    now: int,
    *,
    occurred_at: datetime | None = None,
    device_id: str | None = None,
) -> Asked:
    """A caller's request. Raises ServiceError when the time they give is not theirs to give."""
    own = owner.startswith("@") or principal.is_member(owner) or not principal.has(*STAFF)
    at = moment(occurred_at, now, own=own)
    return Asked(
        owner,
        derived_id(prefix, principal.subject, owner, key),
        principal.member_id if own and principal.member_id else principal.subject,
        at,
        own,
        principal.stepped_up,
        occurred_at is not None,
        device_id,
    )


def moment(occurred_at: datetime | None, now: int, *, own: bool) -> int:
    """When something happened: now, or for imports when they say."""
    if occurred_at is None:
        return now
    if own:
        message = "Leave out occurred_at: what members do happens now"
        raise ServiceError("forbidden", "time_not_allowed", message, field="occurred_at")
    at = to_micros(occurred_at)
    if not EARLIEST <= at <= now + TOLERANCE:
        wrong = "is before 1990" if at < EARLIEST else "is in the future"
        raise invalid("invalid_request", "occurred_at", wrong, "Send the time it happened.")
    return min(at, now)


def wallet_of(rules: Rules, given: str | None, *, spendable: bool = True) -> str:
    """The wallet that is meant. Raises ServiceError when there is none such, or not to spend."""
    wallet = (
        next(code for code, spends in rules.wallets.items() if spends) if given is None else given
    )
    if wallet not in rules.wallets:
        raise unknown("unknown_wallet", "wallet", wallet, rules.wallets)
    if spendable and not rules.wallets[wallet]:
        spendables = [code for code, spends in rules.wallets.items() if spends]
        raise invalid(
            "wallet_not_spendable",
            "wallet",
            f"'{wallet}' counts towards a tier and cannot be spent",
            f"Use one of {', '.join(spendables)}.",
        )
    return wallet


def unknown(code: str, field: str, given: str, known: Iterable[str]) -> ServiceError:
    """A name the programme does not have; says those it has, and the nearest."""
    names = list(known)
    near = get_close_matches(given, names, 1, 0.6)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    return invalid(
        code, field, f"'{given}' is not known", f"{meant}Known are {', '.join(names)}.", known=names
    )


def invalid(code: str, field: str, message: str, fix: str, **facts: object) -> ServiceError:
    """A request with one field at fault."""
    errors = [{"field": field, "message": message, "fix": fix}]
    text = f"1 field is not valid: {field} {message}. {fix}"
    return ServiceError("invalid", code, text, errors=errors, **facts)
