"""A member's account: what it holds, how an entry changes it.

Invariants:

* an entry's postings sum to zero, so value only ever moves between accounts;
* a decision is posted once: its seq must be above the last one absorbed;
* an entry's balances are those before it plus its postings;
* a return takes back ``f(after) - f(before)`` of each line, ``f`` rising from 0 to all the line
  earned: in however many parts a line comes back, what is taken never exceeds what it earned, and
  equals it once all of it is back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import EarnedLine, EntryKind, PointsPosted, Posting
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
    """Take back what a purchase earned. ``earned`` is what its own entry says of its lines."""

    member_id: str
    activity_id: str
    seq: int
    occurred_at: int
    returned: ReturnedPurchase
    earned: tuple[EarnedLine, ...]


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


def earned_lines(grants: Iterable[Grant]) -> tuple[EarnedLine, ...]:
    """Return what each line earned in each wallet, over all campaigns; lines worth 0 left out."""
    earned: dict[tuple[int, str], tuple[int, int]] = {}
    for grant in grants:
        for line, amount, points in grant.lines:
            before = earned.get((line, grant.wallet), (amount, 0))[1]
            earned[line, grant.wallet] = (amount, before + points)
    return tuple(
        EarnedLine(line, wallet, amount, points)
        for (line, wallet), (amount, points) in earned.items()
        if points
    )


def taken_back(earned: Sequence[EarnedLine], returned: Sequence[ReturnedLine]) -> dict[str, int]:
    """Return the points that a return takes, by wallet.

    Two lines of earnings on one purchase line (two wallets) are taken back independently.
    """
    parts = {line.line: line for line in returned}
    taken: dict[str, int] = {}
    for line in earned:
        part = parts.get(line.line)
        if part is None or line.amount == 0:
            continue
        points = line.points * part.after // line.amount - line.points * part.before // line.amount
        if points:
            taken[line.wallet] = taken.get(line.wallet, 0) + points
    return taken


def _earn(account: Account, command: Earn) -> PointsPosted | None:
    credits: dict[str, int] = {}
    for grant in command.grants:
        credits[grant.wallet] = credits.get(grant.wallet, 0) + grant.points
    return _entry(
        account,
        command,
        "earn",
        {wallet: points for wallet, points in credits.items() if points},
        lines=earned_lines(command.grants),
        campaigns=tuple(dict.fromkeys(grant.campaign_id for grant in command.grants)),
    )


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
    lines: tuple[EarnedLine, ...] = (),
    campaigns: tuple[str, ...] = (),
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
        lines=lines,
        campaigns=campaigns,
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
