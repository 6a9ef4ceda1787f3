"""What holds of an account and its model after every step."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from contracts.points import AccountMarked, PointsPosted
from services.points.domain.account import Account
from services.points.domain.applying import apply
from services.points.domain.entries import Step
from tests.services.points.ledger.model import Purse

STATE = msgspec.json.Encoder(), msgspec.json.Decoder(Account)
FACTS = {
    kind: (msgspec.json.Encoder(), msgspec.json.Decoder(kind))
    for kind in (PointsPosted, AccountMarked)
}


def entry(entry: PointsPosted) -> int:
    """An entry sums to zero in each lot; returns what it adds to the account ``transfer``."""
    sums: Counter[tuple[str, str]] = Counter()
    for posting in entry.postings:
        assert posting.amount, entry
        sums[posting.wallet, posting.lot] += posting.amount
    assert not any(sums.values()), entry
    return sum(p.amount for p in entry.postings if p.account == "transfer/base")


def same(account: Account, purse: Purse, returns: str) -> None:
    """The account is what the model says, and its own sums are right."""
    for wallet in ("base", "tier"):
        free = purse.balance(wallet)
        waiting = sum(p.n for p in purse.packets if p.wallet == wallet and p.waits)
        held = sum(p.n for p in purse.packets if p.wallet == wallet and p.hold)
        assert account.balances.get(wallet, 0) == free, (account, purse)
        assert account.pending.get(wallet, 0) == waiting, (account, purse)
        assert account.held.get(wallet, 0) == held, (account, purse)
        assert free >= 0 or returns == "unlimited", account
        if (totals := account.totals.get(wallet)) is not None:
            rest = totals.credited - totals.spent - totals.expired - totals.reversed
            assert rest == free + waiting + held, account
            assert totals.expired == purse.expired[wallet], (account, purse)
    _same_lots(account, purse)
    assert account.due == purse.due(), (account, purse)
    assert account.holds.keys() == purse.holds.keys(), (account, purse)
    assert account.redemptions.keys() == purse.paid.keys(), (account, purse)
    assert account.sent.keys() == purse.sent, (account, purse)
    assert account.requests.keys() == purse.requests.keys(), (account, purse)
    taken = Counter(reward for reward, _, _ in purse.taken.values())
    assert {name: n.total for name, n in account.redeemed.items() if n.total} == taken
    seats = {who: (s.role, s.contributed, s.joined) for who, s in account.pool.items()}
    assert seats == {who: (s.role, s.contributed, s.joined) for who, s in purse.pool.items()}


def _same_lots(account: Account, purse: Purse) -> None:
    """The same points with the same expiry; and each lot's own sum."""
    here: Counter[tuple[str, bool, int, int]] = Counter()
    for name, lot in account.lots.items():
        rest = lot.credited - lot.spent - lot.expired - lot.reversed
        assert rest == lot.left + lot.held, (name, lot)
        assert min(lot.held, lot.expired) >= 0, (name, lot)
        if name.endswith(".debt"):
            continue
        assert lot.left >= 0, (name, lot)
        here[lot.wallet, "~" in name, lot.opens, lot.expires] += lot.left
        here["held", False, 0, lot.expires] += lot.held
    there: Counter[tuple[str, bool, int, int]] = Counter()
    for p in purse.packets:
        key = ("held", False, 0) if p.hold else (p.wallet, bool(p.waits), p.opens)
        there[(*key, p.expires)] += p.n
    assert here == there, (account, purse)


def rebuilt(facts: Sequence[Step], account: Account) -> None:
    """A fold of all facts, as they are stored, is the account: with and without snapshots."""
    kept = folded = Account()
    for number, step in enumerate(facts, 1):
        encoder, decoder = FACTS[type(step.fact)]
        fact = decoder.decode(encoder.encode(step.fact))
        folded, kept = apply(folded, fact, step.at), apply(kept, fact, step.at)
        if number % 16 == 0:
            kept = STATE[1].decode(STATE[0].encode(kept))
    assert folded == account
    assert kept == folded
    assert folded.facts == len(facts)
