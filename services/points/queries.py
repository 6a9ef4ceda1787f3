"""Reads: balances now and as of a past time, and the statement."""

from dataclasses import dataclass

from contracts.points import PointsPosted
from kit.clock import SECOND, Clock
from kit.journal.port import Journal
from services.points.commands import body_of
from services.points.domain.errors import UnsettledBalance
from services.points.views import Accounts

SETTLED_AFTER = 60 * SECOND
"""An entry is stamped before it is written, and machines' clocks differ: by less than this."""


@dataclass(frozen=True)
class Balances:
    """Points by wallet; ``entries`` is how many entries they are the sum of."""

    member_id: str
    wallets: dict[str, int]
    entries: int
    as_of: int


@dataclass(frozen=True)
class StatementLine:
    """One entry, as the member sees it: the change and the balance after it, by wallet."""

    seq: int
    occurred_at: int
    posted_at: int
    entry: PointsPosted


async def balances(accounts: Accounts, member_id: str, now: int) -> Balances:
    """Return the balances including every entry acknowledged so far."""
    head = (await accounts.heads([member_id], fresh=True))[member_id]
    return Balances(member_id, head.state.balances, head.seq, now)


async def balances_as_of(journal: Journal, member_id: str, as_of: int, clock: Clock) -> Balances:
    """Return the balances as they stood at ``as_of`` (booking time, microseconds).

    ``posted_at`` never decreases in a stream, so the last entry not after ``as_of`` is found by
    bisection: about log2(n) point reads by id, as fast for an old account as for a new one. The
    answer never changes later. Raises UnsettledBalance.
    """
    if as_of > (latest := clock() - SETTLED_AFTER):
        raise UnsettledBalance(as_of, latest)
    stream = f"account:{member_id}"
    low, high = 0, await journal.head(stream)
    wallets: dict[str, int] = {}
    while low < high:
        middle = (low + high + 1) // 2
        [fact] = await journal.read(stream, after=middle - 1, limit=1)
        if fact.posted_at <= as_of:
            low, wallets = middle, body_of(fact).balances
        else:
            high = middle - 1
    return Balances(member_id, wallets, low, as_of)


async def statement(
    journal: Journal, member_id: str, limit: int, before: int | None
) -> list[StatementLine]:
    """Return up to ``limit`` entries, newest first, those with a seq below ``before``."""
    stream = f"account:{member_id}"
    start = before if before is not None else await journal.head(stream) + 1
    facts = await journal.read(stream, after=0, limit=limit, backwards_from=start)
    return [StatementLine(f.seq, f.occurred_at, f.posted_at, body_of(f)) for f in facts]
