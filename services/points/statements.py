"""Reads for statements: a month's lines, and what their words need beside them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from contracts.points import PointsPosted, VestingTerms
from kit.errors import ServiceError
from kit.journal.port import Journal
from services.points.commands import body_of
from services.points.domain.account import Account
from services.points.domain.advancing import Advance
from services.points.domain.deciding import decide
from services.points.domain.earning import entry_key
from services.points.domain.entries import Step
from services.points.domain.monthly import Month, Sums, sums
from services.points.domain.statement import (
    Known,
    Names,
    Standing,
    bonuses_of,
    rewards_of,
    standings,
)
from services.points.policy import Rules
from services.points.queries import AHEAD, Bucket, StatementLine, bucket
from services.points.remarks import Remarks
from services.points.rewards.wiring import Rewards
from services.points.views import Ledger

MOST_LINES = 2_000
"""Lines on one page of a month's statement."""
CHUNK = 250
Seq = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page of a month begins."""

    month: str
    seq: Seq


@dataclass(frozen=True)
class MonthPage:
    """A page of a month's statement, oldest line first; ``next`` is the seq to go on from.

    ``final``: the account has gone on in a later month, so that nothing here will change.
    ``now`` are the wallets as they stand at the time of reading.
    """

    lines: Sequence[StatementLine]
    sums: Sums
    next: int | None
    final: bool
    now: Sequence[Bucket]


async def month_page(
    ledger: Ledger,
    rules: Rules,
    owner: str,
    month: Month,
    at: int,
    from_seq: int | None = None,
    most: int = MOST_LINES,
) -> MonthPage:
    """Return a page of the month's statement, as of ``at``.

    What fell due is on it whether or not the daily duty has written it down. Raises ServiceError
    when the month has not begun.
    """
    if at < month.start:
        raise ServiceError(
            "invalid", "month_not_begun", f"{month.name} has not begun yet", field="month"
        )
    head = (await ledger.heads([owner], fresh=True))[owner]
    coming = decide(head.state, Advance(owner, at), rules.policy)
    journal, stream = ledger.journal, ledger.stream(owner)
    first = from_seq or await first_since(journal, stream, month.start, head.seq)
    lines, rest, final = await _written(journal, stream, month, (first, head.seq), most)
    if rest is None and not final:
        due = _not_written(coming, month, head.seq)
        if lines and len(lines) + len(due) > most:
            rest = head.seq + 1
        else:
            lines = [*lines, *due]
    entries = [line.entry for line in lines]
    before = {} if entries else await _standing_before(journal, stream, first, coming, month)
    state = coming[-1].after if coming else head.state
    return MonthPage(lines, sums(entries, before), rest, final, _buckets(state))


async def first_since(journal: Journal, stream: str, moment: int, last: int) -> int:
    """The seq of the first fact that happened at ``moment`` or later; behind ``last`` if none did.

    Nothing happens long after it was booked, so only facts booked about then or later are looked
    at: for an account that was imported later that may be all of it.
    """
    known = await journal.last_before(stream, moment - AHEAD)
    seq = known.seq if known is not None else 0
    while seq < last:
        facts = await journal.read(stream, after=seq, limit=CHUNK)
        if not facts:
            break
        for fact in facts:
            if fact.occurred_at >= moment:
                return fact.seq
        seq = facts[-1].seq
    return last + 1


async def _written(
    journal: Journal, stream: str, month: Month, span: tuple[int, int], most: int
) -> tuple[list[StatementLine], int | None, bool]:
    """The month's entries in a span of seqs, where to go on, and whether a later month follows."""
    lines: list[StatementLine] = []
    seq, last = span[0] - 1, span[1]
    while seq < last:
        facts = await journal.read(stream, after=seq, limit=min(CHUNK, last - seq))
        if not facts:
            break
        for fact in facts:
            if fact.occurred_at >= month.end:
                return lines, None, True
            if fact.type == "PointsPosted":
                if len(lines) == most:
                    return lines, fact.seq, False
                entry = body_of(fact)
                lines.append(StatementLine(fact.seq, fact.occurred_at, fact.posted_at, entry))
        seq = facts[-1].seq
    return lines, None, False


def _not_written(coming: Sequence[Step], month: Month, head: int) -> list[StatementLine]:
    """What has fallen due in the month and will be written next, as it will be written."""
    return [
        StatementLine(seq, step.at, step.at, step.fact)
        for seq, step in enumerate(coming, head + 1)
        if month.start <= step.at < month.end and isinstance(step.fact, PointsPosted)
    ]


async def _standing_before(
    journal: Journal, stream: str, seq: int, coming: Sequence[Step], month: Month
) -> Mapping[str, Standing]:
    """Every wallet before a month without a line; what fell due before it counts as written."""
    for step in reversed(coming):
        if step.at < month.start and isinstance(step.fact, PointsPosted):
            return standings(step.fact)
    while seq > 1:
        for fact in await journal.read(stream, limit=100, backwards_from=seq):
            if fact.type == "PointsPosted":
                return standings(body_of(fact))
            seq = fact.seq
    return {}


def _buckets(state: Account) -> list[Bucket]:
    wallets = sorted({*state.balances, *state.pending, *state.held, *state.totals})
    return [bucket(state, wallet) for wallet in wallets]


async def known_for(
    ledger: Ledger,
    rules: Rules,
    rewards: Rewards | None,
    remarks: Remarks,
    owner: str,
    entries: Collection[PointsPosted],
    *,
    masked: bool = True,
) -> Known:
    """What the words of some entries of one account need beside them."""
    return Known(
        rules.zone,
        rules.wallets,
        await _reward_names(rewards, rewards_of(entries)),
        {reason.code: reason.name for reason in rules.adjustments.reasons},
        await _vesting(ledger, owner, bonuses_of(entries)),
        masked,
        await remarks.texts(entry.transfer for entry in entries if entry.transfer is not None),
    )


async def _reward_names(rewards: Rewards | None, wanted: set[str]) -> Names:
    """Names from the catalogue; who has none goes by its id."""
    if rewards is None or not wanted:
        return {}
    heads = await rewards.catalogue.heads(sorted(wanted))
    return {
        reward_id: head.state.defined.names
        for reward_id, head in heads.items()
        if head.state.defined is not None
    }


async def _vesting(
    ledger: Ledger, owner: str, wanted: Mapping[str, int]
) -> dict[str, VestingTerms]:
    """The instalments of bonuses, from the entries that opened them."""
    if not wanted:
        return {}
    keys = sorted({entry_key(seq) for seq in wanted.values()})
    found = await ledger.journal.find(ledger.stream(owner), keys)
    entries: list[PointsPosted] = [body_of(fact) for fact in found.values()]
    return {terms.lot: terms for entry in entries for terms in entry.vesting}
