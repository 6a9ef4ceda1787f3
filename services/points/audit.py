"""What an auditor asks of the ledger: does it hold, and what is its digest?"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from contracts.envelope import Fact
from contracts.points import PointsPosted
from services.points.commands import body_of
from services.points.domain.account import Account, apply
from services.points.wiring import Wiring

SNAPSHOT_BATCH = 500


@dataclass
class _Account:
    """An account as the walk over its entries finds it."""

    stream: str
    seq: int = 0
    posted_at: int = 0
    state: Account = field(default_factory=Account)
    checkpoints: dict[int, Account] = field(default_factory=dict)


async def findings(wiring: Wiring) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: seq gapless, every entry sums to zero, running balances, decisions in rising order,
    booking time never decreasing, Σ over all accounts zero, every snapshot equal to its fold.
    """
    found: list[str] = []
    totals: Counter[str] = Counter()
    async for account in _accounts(wiring, found, totals):
        found += await _snapshot_findings(wiring, account)
    found += [
        f"wallet {wallet}: all accounts sum to {sum_}" for wallet, sum_ in totals.items() if sum_
    ]
    return found


async def digest_lines(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``balance MEMBER WALLET POINTS`` for every wallet that is not empty."""
    async for account in _accounts(wiring, [], Counter()):
        member = account.stream.partition(":")[2]
        for wallet, points in sorted(account.state.balances.items()):
            if points:
                yield f"balance {member} {wallet} {points}"


async def _accounts(
    wiring: Wiring, found: list[str], totals: Counter[str]
) -> AsyncIterator[_Account]:
    """Walk the journal, adding to ``found`` and ``totals``, and yield each account at its end."""
    account: _Account | None = None
    async for facts in wiring.entries.scan():
        for fact in facts:
            if account is None or account.stream != fact.stream:
                if account is not None:
                    yield account
                account = _Account(fact.stream)
            entry = body_of(fact)
            found += _entry_findings(account, fact, entry)
            for posting in entry.postings:
                totals[posting.wallet] += posting.amount
            account.seq, account.posted_at = fact.seq, fact.posted_at
            account.state = apply(account.state, entry)
            account.checkpoints[fact.seq] = account.state
    if account is not None:
        yield account


def _entry_findings(account: _Account, fact: Fact, entry: PointsPosted) -> Iterable[str]:
    sums: Counter[str] = Counter()
    expected: Counter[str] = Counter(account.state.balances)
    for posting in entry.postings:
        sums[posting.wallet] += posting.amount
        if posting.account.startswith("member/"):
            expected[posting.wallet] += posting.amount
    if fact.seq != account.seq + 1:
        yield f"{fact.id}: seq {account.seq + 1} was expected"
    if any(sums.values()):
        yield f"{fact.id}: postings sum to {dict(sums)}"
    if dict(expected) != entry.balances:
        yield f"{fact.id}: balances are {entry.balances}, postings make {dict(expected)}"
    if entry.reward_seq <= account.state.absorbed:
        yield f"{fact.id}: decision {entry.reward_seq} does not follow {account.state.absorbed}"
    if fact.posted_at < account.posted_at:
        yield f"{fact.id}: booked before the entry that precedes it"


async def _snapshot_findings(wiring: Wiring, account: _Account) -> list[str]:
    snapshot = await wiring.accounts.snapshot(account.stream.partition(":")[2])
    if snapshot is None:
        return []
    if (folded := account.checkpoints.get(snapshot.seq)) == snapshot.state:
        return []
    return [f"{account.stream}: the snapshot at {snapshot.seq} is not its fold ({folded})"]
