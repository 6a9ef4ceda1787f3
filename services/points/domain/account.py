"""A member's account: what it holds, how an entry changes it.

Invariants:

* an entry's postings sum to zero, so value only ever moves between accounts;
* a decision is posted once: its seq must be above the last one absorbed;
* an entry's balances are those before it plus its postings;
* a return takes back ``f(after) - f(before)`` of each line, ``f`` rising from 0 to all the line
  earned: in however many parts a line comes back, what is taken never exceeds what it earned, and
  equals it once all of it is back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import EntryKind, PointsPosted, Posting
from services.points.domain.errors import UnbalancedEntry


class Account(msgspec.Struct, frozen=True):
    """``absorbed`` is the seq of the last decision posted; ``balances`` are points by wallet."""

    absorbed: int = 0
    balances: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earn:
    """Post what a decision granted."""

    member_id: str
    activity_id: str
    seq: int
    occurred_at: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back what a purchase earned. ``earned`` is what its own entry says it was granted."""

    member_id: str
    activity_id: str
    seq: int
    occurred_at: int
    returned: ReturnedPurchase
    earned: tuple[Grant, ...]


def decide(account: Account, command: Earn | TakeBack) -> PointsPosted | None:
    """Return the entry a command makes; None when it was posted before or moves nothing."""
    if command.seq <= account.absorbed:
        return None
    if isinstance(command, Earn):
        return _earn(account, command)
    return _take_back(account, command)


def apply(account: Account, entry: PointsPosted) -> Account:
    """The account after an entry."""
    return Account(max(account.absorbed, entry.reward_seq), entry.balances)


def entry_key(seq: int) -> str:
    """The journal key of the entry for decision ``seq``: a purchase's return finds it by this."""
    return f"reward:{seq}"


def taken_back(earned: Sequence[Grant], returned: Sequence[ReturnedLine]) -> dict[str, int]:
    """Return the points that a return takes, by wallet; each grant is taken back by itself."""
    parts = {line.line: line for line in returned}
    taken: dict[str, int] = {}
    for grant in earned:
        for line, amount, points in grant.lines:
            if amount and (part := parts.get(line)) is not None:
                share = points * part.after // amount - points * part.before // amount
                taken[grant.wallet] = taken.get(grant.wallet, 0) + share
    return {wallet: points for wallet, points in taken.items() if points}


def _earn(account: Account, command: Earn) -> PointsPosted | None:
    credits: dict[str, int] = {}
    for grant in command.grants:
        if grant.points:
            credits[grant.wallet] = credits.get(grant.wallet, 0) + grant.points
    return _entry(account, command, "earn", credits, grants=command.grants)


def _take_back(account: Account, command: TakeBack) -> PointsPosted | None:
    taken = taken_back(command.earned, command.returned.lines)
    debits = {wallet: -points for wallet, points in taken.items()}
    return _entry(account, command, "return", debits, reverses=command.returned.activity_id)


def _entry(
    account: Account,
    command: Earn | TakeBack,
    kind: EntryKind,
    changes: Mapping[str, int],
    *,
    grants: tuple[Grant, ...] = (),
    reverses: str | None = None,
) -> PointsPosted | None:
    """Build a balanced entry against issuance; None when there is nothing to move."""
    if not changes:
        return None
    postings: list[Posting] = []
    balances = dict(account.balances)
    for wallet, amount in changes.items():
        postings.append(Posting(f"member/{wallet}", wallet, amount))
        postings.append(Posting(f"issuance/{wallet}", wallet, -amount))
        balances[wallet] = balances.get(wallet, 0) + amount
    entry = PointsPosted(
        entry_id=f"{command.member_id}-{command.seq}",
        member_id=command.member_id,
        kind=kind,
        activity_id=command.activity_id,
        reward_seq=command.seq,
        postings=tuple(postings),
        balances=balances,
        grants=grants,
        reverses=reverses,
    )
    check_balanced(entry)
    return entry


def check_balanced(entry: PointsPosted) -> None:
    """Raise UnbalancedEntry unless the postings of each wallet sum to zero."""
    sums: dict[str, int] = {}
    for posting in entry.postings:
        sums[posting.wallet] = sums.get(posting.wallet, 0) + posting.amount
    if any(sums.values()):
        raise UnbalancedEntry(entry.entry_id, sums)
