"""Reads: balances now and as of a past time, and the statement."""

from dataclasses import dataclass

from contracts.points import PointsPosted
from kit.clock import DAY, SECOND, Clock
from kit.journal.port import Journal
from services.points.commands import body_of
from services.points.domain.account import Account, Totals, debt_lot
from services.points.domain.advancing import Advance
from services.points.domain.applying import apply
from services.points.domain.deciding import decide
from services.points.domain.errors import UnsettledBalance
from services.points.policy import Rules
from services.points.views import Ledger

SETTLED_AFTER = 60 * SECOND
"""An entry is stamped before it is written, and machines' clocks differ: by less than this."""


@dataclass(frozen=True)
class Bucket:
    """A wallet: points that can be spent, wait, or are held, and what became of the others.

    ``credited = active + pending + held + spent + expired + returned``, ``active`` negative when
    the wallet is. ``expiring`` and ``opening`` are (time, points), soonest first. ``vesting``: of
    each bonus its rule, and (time, points) of what is still to unlock.
    """

    wallet: str
    active: int
    pending: int
    held: int
    negative: int
    credited: int
    spent: int
    expired: int
    returned: int
    expiring: tuple[tuple[int, int], ...]
    opening: tuple[tuple[int, int], ...]
    vesting: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()


@dataclass(frozen=True)
class Balances:
    """Points by wallet; ``entries`` is how many facts they are the sum of."""

    member_id: str
    wallets: dict[str, int]
    entries: int
    as_of: int
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True)
class StatementLine:
    """One entry, as the member sees it: the change and the balance after it, by wallet."""

    seq: int
    occurred_at: int
    posted_at: int
    entry: PointsPosted


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of a statement are asked for; None asks for all. Times in microseconds."""

    kinds: frozenset[str] | None = None
    wallet: str | None = None
    start: int | None = None
    end: int | None = None

    def takes(self, line: StatementLine) -> bool:
        """Whether a line is asked for; ``start <= occurred_at < end``."""
        if self.kinds is not None and line.entry.kind not in self.kinds:
            return False
        if self.wallet is not None and all(
            posting.wallet != self.wallet for posting in line.entry.postings
        ):
            return False
        after = self.start is None or line.occurred_at >= self.start
        return after and (self.end is None or line.occurred_at < self.end)


async def account(ledger: Ledger, rules: Rules, owner: str, now: int) -> tuple[int, Account]:
    """Return how many facts an account has, and its state with time passed up to ``now``.

    What fell due is counted whether or not the daily duty has written it down.
    """
    head = (await ledger.heads([owner], fresh=True))[owner]
    state = head.state
    if 0 < state.due <= now:
        for step in decide(state, Advance(owner, now), rules.policy):
            state = apply(state, step.fact, step.at)
    return head.seq, state


async def balances(ledger: Ledger, rules: Rules, member_id: str, now: int) -> Balances:
    """Return the balances including every entry acknowledged so far."""
    entries, state = await account(ledger, rules, member_id, now)
    wallets = sorted({*state.balances, *state.pending, *state.held, *state.totals})
    buckets = tuple(bucket(state, wallet) for wallet in wallets)
    return Balances(member_id, state.balances, entries, now, buckets)


def bucket(state: Account, wallet: str) -> Bucket:
    """What an account holds and held in one wallet."""
    totals = state.totals.get(wallet, Totals())
    expiring: dict[int, int] = {}
    opening: dict[int, int] = {}
    for name, lot in state.lots.items():
        if lot.left > 0 and lot.wallet == wallet:
            waits = "~" in name
            if moment := lot.opens if waits else lot.expires:
                found = opening if waits else expiring
                found[moment] = found.get(moment, 0) + lot.left
    debt = state.lots.get(debt_lot(wallet))
    return Bucket(
        wallet,
        state.balances.get(wallet, 0),
        state.pending.get(wallet, 0),
        state.held.get(wallet, 0),
        -debt.left if debt is not None else 0,
        totals.credited,
        totals.spent,
        totals.expired,
        totals.reversed,
        tuple(sorted(expiring.items())),
        tuple(sorted(opening.items())),
        _schedules(state, wallet),
    )


def _schedules(state: Account, wallet: str) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """What bonuses unlock, and when: a return may have left less than was promised."""
    schedules = []
    for name, vesting in state.vesting.items():
        lot = state.lots[name]
        if lot.wallet != wallet:
            continue
        left, unlocks = lot.left, []
        for number, instalment in enumerate(vesting.instalments, 1):
            last = number == len(vesting.instalments)
            part = left if last else min(left, instalment.points)
            left -= part
            unlocks.append((instalment.due, part))
        schedules.append((vesting.rule, tuple(unlocks)))
    return tuple(sorted(schedules, key=lambda each: each[1]))


async def balances_as_of(journal: Journal, member_id: str, as_of: int, clock: Clock) -> Balances:
    """Return the balances as they stood at ``as_of`` (booking time, microseconds).

    ``posted_at`` never decreases in a stream, so it is the last entry's not after ``as_of``: one
    call, as fast for an old account as for a new one. The answer never changes later. Raises
    UnsettledBalance.
    """
    if as_of > (latest := clock() - SETTLED_AFTER):
        raise UnsettledBalance(as_of, latest)
    stream = f"account:{member_id}"
    if (fact := await journal.last_before(stream, as_of)) is None:
        return Balances(member_id, {}, 0, as_of)
    return Balances(member_id, body_of(fact).balances, fact.seq, as_of)


MOST_READ = 2_000
"""Facts that one page of a filtered statement looks at; the cursor goes on behind them."""
CHUNK = 250
AHEAD = DAY
"""Nothing is booked so long before it happens; clocks of senders may be a few minutes fast."""


async def statement(
    journal: Journal, member_id: str, limit: int, before: int | None, wanted: Wanted = Wanted()
) -> tuple[list[StatementLine], int | None]:
    """Return up to ``limit`` entries, newest first, and the seq to go on before (None: the end).

    A filter may leave fewer, even none, with more behind them.
    """
    stream = f"account:{member_id}"
    seq = before if before is not None else await journal.head(stream) + 1
    lines: list[StatementLine] = []
    read, size = 0, limit + 1 if wanted == Wanted() else max(limit + 1, CHUNK)
    while seq > 1 and len(lines) < limit and read < MOST_READ:
        facts = await journal.read(stream, limit=size, backwards_from=seq)
        for fact in facts:
            if wanted.start is not None and fact.posted_at < wanted.start - AHEAD:
                return lines, None
            read, seq = read + 1, fact.seq
            if fact.type == "PointsPosted":
                line = StatementLine(fact.seq, fact.occurred_at, fact.posted_at, body_of(fact))
                if wanted.takes(line):
                    lines.append(line)
            if len(lines) == limit:
                break
        if not facts:
            return lines, None
    return lines, seq if seq > 1 else None
