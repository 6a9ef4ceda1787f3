"""What an auditor asks of the ledger: does it hold, and what is its digest?"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from contracts.envelope import Fact
from contracts.points import AccountMarked, PointsPosted
from kit.audit import LOOK_AGAIN_SECONDS, PATIENCE_SECONDS, Verdict
from services.points import audit_lists
from services.points.audit_transfers import Transfers
from services.points.commands import body_of
from services.points.domain.account import Account, Lot, Totals, debt_lot, lot_of
from services.points.domain.applying import apply
from services.points.rewards import audit as rewards_audit
from services.points.rewards import audit_redemptions as redemptions_audit
from services.points.vouchers import audit as vouchers_audit
from services.points.wiring import Wiring


@dataclass
class _Account:
    """An account as the walk over its facts finds it."""

    stream: str
    seq: int = 0
    posted_at: int = 0
    state: Account = field(default_factory=Account)
    checkpoints: dict[int, Account] = field(default_factory=dict)


@dataclass
class _Books:
    """What the walk adds up over all accounts: postings by wallet, transfers on their way by id."""

    found: list[str] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    moving: Counter[str] = field(default_factory=Counter)
    on_their_way: Counter[str] = field(default_factory=Counter)
    transfers: Transfers = field(default_factory=Transfers)


async def examine(wiring: Wiring, patience_seconds: float = PATIENCE_SECONDS) -> Verdict:
    """Return what does not hold.

    The service may be at work, and no look sees all streams at one moment. So what a look finds is
    looked at again, and what is not found then has moved; lists that are behind are given time.
    """
    verdict, books = Verdict(), await _walked(wiring)
    verdict.unsettled += books.transfers.unsettled()
    for look in _LOOKS:
        found = books.found if look is ledger_findings else await look(wiring)
        verdict.add(await _confirmed(wiring, look, found, patience_seconds))
    verdict.add(await audit_lists.examine(wiring, patience_seconds))
    return verdict


async def _confirmed(wiring: Wiring, look: "Look", found: list[str], patience: float) -> Verdict:
    verdict, now = Verdict(), asyncio.get_running_loop().time
    deadline = now() + patience
    while found and now() < deadline:
        await asyncio.sleep(min(LOOK_AGAIN_SECONDS, patience))
        again = set(await look(wiring))
        moved = [sentence for sentence in found if sentence not in again]
        verdict.unsettled += [f"{sentence}, but that has moved since" for sentence in moved]
        found = [sentence for sentence in found if sentence in again]
    verdict.findings += found
    return verdict


async def findings(wiring: Wiring) -> list[str]:
    """Return what does not hold in any part of the service at rest; empty when all is well."""
    return [sentence for look in _LOOKS for sentence in await look(wiring)]


async def ledger_findings(wiring: Wiring) -> list[str]:
    """Return what does not hold in the ledger.

    Checked: seq gapless, every entry sums to zero in each lot, running balances, decisions in
    rising order, booking time never decreasing; per lot and wallet credited = spent + expired +
    reversed + left + held; nothing below zero but the debt; Σ over all accounts zero, and what is
    in ``transfer`` is what transfers have on their way, each of which arrives or comes back once;
    every snapshot equal to its fold.
    """
    return (await _walked(wiring)).found


async def _walked(wiring: Wiring) -> _Books:
    """Walk over all accounts."""
    books = _Books()
    async for account in _accounts(wiring, books):
        books.transfers.close(account.state)
        books.found += _state_findings(account.stream, account.state)
        books.found += await _snapshot_findings(wiring, account)
    books.found += [
        f"wallet {wallet}: all accounts sum to {sum_}"
        for wallet, sum_ in books.totals.items()
        if sum_
    ]
    books.found += [
        f"wallet {wallet}: transfer holds {sum_}, transfers have {books.on_their_way[wallet]}"
        for wallet, sum_ in books.moving.items()
        if sum_ != books.on_their_way[wallet]
    ]
    books.found += books.transfers.findings()
    return books


async def digest_lines(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``balance MEMBER WALLET POINTS`` for every wallet that is not empty.

    Points that wait, are held, were spent or expired have lines of their own where there are any.
    """
    async for account in _accounts(wiring, _Books()):
        owner, state = account.stream.partition(":")[2], account.state
        for wallet, points in sorted(state.balances.items()):
            if points:
                yield f"balance {owner} {wallet} {points}"
        for wallet, totals in sorted(state.totals.items()):
            waiting, held = state.pending.get(wallet, 0), state.held.get(wallet, 0)
            if waiting or held or totals.spent or totals.expired:
                yield f"buckets {owner} {wallet} {waiting} {held} {totals.spent} {totals.expired}"


async def _accounts(wiring: Wiring, books: _Books) -> AsyncIterator[_Account]:
    """Walk the journal, adding to ``books``, and yield each account at its end."""
    account: _Account | None = None
    async for facts in wiring.entries.scan():
        for fact in facts:
            if account is None or account.stream != fact.stream:
                if account is not None:
                    yield account
                account = _Account(fact.stream)
            body = body_of(fact)
            books.found += _fact_findings(account, fact, body)
            books.transfers.take(body)
            if isinstance(body, PointsPosted):
                _add_up(books, body)
            account.seq, account.posted_at = fact.seq, fact.posted_at
            account.state = apply(account.state, body, fact.occurred_at)
            account.checkpoints[fact.seq] = account.state
    if account is not None:
        yield account


def _add_up(books: _Books, entry: PointsPosted) -> None:
    sign = {"transfer_out": 1, "transfer_in": -1, "transfer_back": -1}.get(entry.kind, 0)
    for posting in entry.postings:
        books.totals[posting.wallet] += posting.amount
        if posting.account.startswith("transfer/"):
            books.moving[posting.wallet] += posting.amount
    if sign and entry.transfer is not None:
        for parcel in entry.transfer.parcels:
            books.on_their_way[parcel.wallet] += sign * parcel.points


def _fact_findings(
    account: _Account, fact: Fact, body: PointsPosted | AccountMarked
) -> Iterable[str]:
    if fact.seq != account.seq + 1:
        yield f"{fact.id}: seq {account.seq + 1} was expected"
    if fact.posted_at < account.posted_at:
        yield f"{fact.id}: booked before the entry that precedes it"
    if 0 < body.reward_seq <= account.state.absorbed:
        yield f"{fact.id}: decision {body.reward_seq} does not follow {account.state.absorbed}"
    if isinstance(body, PointsPosted):
        yield from _entry_findings(account.state, fact, body)


def _entry_findings(before: Account, fact: Fact, entry: PointsPosted) -> Iterator[str]:
    sums: Counter[str] = Counter()
    expected = {
        "member": Counter(before.balances),
        "pending": Counter(before.pending),
        "held": Counter(before.held),
    }
    for posting in entry.postings:
        sums[lot_of(posting)] += posting.amount
        if (counter := expected.get(posting.account.partition("/")[0])) is not None:
            counter[posting.wallet] += posting.amount
    if any(sums.values()):
        yield f"{fact.id}: postings sum to {dict(sums)}"
    stated = {"member": entry.balances, "pending": entry.pending, "held": entry.held}
    for account, counter in expected.items():
        if _filled(counter) != _filled(stated[account]):
            yield f"{fact.id}: {account} is {stated[account]}, postings make {dict(counter)}"


def _filled(points: Mapping[str, int]) -> dict[str, int]:
    return {wallet: each for wallet, each in points.items() if each}


def _state_findings(stream: str, state: Account) -> Iterator[str]:
    """What must hold of an account after all its facts."""
    left: dict[str, int] = {}
    for name, lot in state.lots.items():
        if not _adds_up(lot, lot.left + lot.held):
            yield f"{stream}: lot {name} does not add up: {lot}"
        if min(lot.left, lot.held) < 0 and name != debt_lot(lot.wallet):
            yield f"{stream}: lot {name} is below zero"
        left[lot.wallet] = left.get(lot.wallet, 0) + lot.left + lot.held
    for wallet in {*left, *state.totals}:
        there = sum(each.get(wallet, 0) for each in (state.balances, state.pending, state.held))
        if there != left.get(wallet, 0):
            yield f"{stream}: {wallet} has {there} by balance and {left.get(wallet, 0)} in lots"
        if not _adds_up(state.totals.get(wallet, Totals()), there):
            yield f"{stream}: {wallet} does not add up: {state.totals.get(wallet)}, {there} there"


def _adds_up(what: Lot | Totals, there: int) -> bool:
    return what.credited == what.spent + what.expired + what.reversed + there


async def _snapshot_findings(wiring: Wiring, account: _Account) -> list[str]:
    """A snapshot newer than the walk is one that was written while it went on: no finding."""
    snapshot = await wiring.ledger.snapshot(account.stream.partition(":")[2])
    if snapshot is None or snapshot.seq > account.seq:
        return []
    if (folded := account.checkpoints.get(snapshot.seq)) == snapshot.state:
        return []
    return [f"{account.stream}: the snapshot at {snapshot.seq} is not its fold ({folded})"]


Look = Callable[[Wiring], Awaitable[list[str]]]
_LOOKS: tuple[Look, ...] = (
    ledger_findings,
    lambda wiring: rewards_audit.findings(wiring.rewards),
    lambda wiring: redemptions_audit.findings(wiring.redemptions),
    lambda wiring: vouchers_audit.findings(wiring.vouchers),
)
"""The parts of the service, each looked at by itself."""
