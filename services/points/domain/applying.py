"""How each fact changes an account: no rules of the programme, only what the fact says."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from contracts.points import AccountMarked, HoldTerms, Parcel, PointsPosted, Progress, TransferTerms
from services.points.domain.account import (
    MOST_RECENT,
    MOST_REMEMBERED,
    RECENT,
    Account,
    Hold,
    Lot,
    PoolMember,
    Redeemed,
    Redemption,
    Sent,
    Vesting,
    book,
    due_at,
    forget_empty,
    lot_of,
    with_terms,
)

Value = TypeVar("Value")
replace = msgspec.structs.replace


def apply(account: Account, fact: PointsPosted | AccountMarked, at: int) -> Account:
    """The account after a fact that happened at ``at``."""
    if isinstance(fact, PointsPosted):
        return _posted(account, fact, at)
    return _marked(account, fact, at)


def _posted(account: Account, entry: PointsPosted, at: int) -> Account:
    lots, totals = account.lots.copy(), account.totals.copy()
    if entry.terms:
        with_terms(lots, entry.terms)
    book(lots, totals, entry.postings)
    clock = at if at > account.at else account.at
    forget_empty(lots, clock)
    seq = entry.reward_seq
    after = Account(  # in their order: so many by name cost three times as much
        seq if seq > account.absorbed else account.absorbed,
        account.facts + 1,
        clock,
        0,
        entry.balances,
        entry.pending,
        entry.held,
        lots,
        totals,
        account.holds,
        account.redemptions,
        account.redeemed,
        account.sent,
        account.vesting,
        account.requests,
        account.recent,
        account.contact_changed,
        account.pool,
    )
    if (special := _ENTRIES.get(entry.kind)) is not None:
        after = special(account, after, entry, at)
    if entry.progress is not None:
        after = replace(after, vesting=_progressed(after, entry.progress))
    if entry.vesting:  # after the progress: the purchase that earned a bonus is no step of it
        begun = {v.lot: Vesting(v.rule, v.began, v.instalments) for v in entry.vesting}
        after = replace(after, vesting={**after.vesting, **begun})
    if after.vesting:
        after = replace(after, vesting=_unfinished(after.vesting, lots))
    due = due_at(after)
    return after if due == after.due else replace(after, due=due)


def _marked(account: Account, mark: AccountMarked, at: int) -> Account:
    lots = account.lots
    if mark.terms:
        lots = dict(lots)
        with_terms(lots, mark.terms)
    after = replace(
        account,
        absorbed=max(account.absorbed, mark.reward_seq),
        facts=account.facts + 1,
        at=max(account.at, at),
        lots=lots,
    )
    if mark.progress is not None:
        after = replace(after, vesting=_progressed(after, mark.progress))
    if (special := _MARKS.get(mark.kind)) is not None:
        after = special(account, after, mark, at)
    return replace(after, due=due_at(after))


def _unfinished(vesting: dict[str, Vesting], lots: dict[str, Lot]) -> dict[str, Vesting]:
    """Those of which something is left to unlock: a return may have taken it, or its expiry."""
    return {name: each for name, each in vesting.items() if name in lots and lots[name].left}


def _progressed(account: Account, progress: Progress) -> dict[str, Vesting]:
    """Count an activity in the period of each vesting lot that it falls into."""
    counted = {}
    for lot, vesting in account.vesting.items():
        if vesting.instalments and vesting.began <= progress.at < vesting.instalments[0].due:
            vesting = Vesting(
                vesting.rule,
                vesting.began,
                vesting.instalments,
                vesting.purchases + progress.purchases,
                vesting.spend + progress.spend,
                vesting.activities + (progress.activity != "return"),
            )
        counted[lot] = vesting
    return counted


def _held(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    terms = _told(entry.hold)
    parts = tuple(
        (lot_of(p), p.amount)
        for p in entry.postings
        if p.account.startswith("held/") and p.amount > 0
    )
    wallet = entry.postings[0].wallet
    hold = Hold(
        wallet, terms.until, parts, terms.purpose, terms.reward_id, terms.quantity, terms.money
    )
    holds = {**after.holds, terms.hold_id: hold}
    recent = _recent(after, at, hold.points)
    if terms.reward_id is None:
        return replace(after, holds=holds, recent=recent)
    old = after.redeemed.get(terms.reward_id, Redeemed())
    latest = (*old.latest, (terms.hold_id, at, terms.quantity))[-MOST_REMEMBERED:]
    taken = Redeemed(old.total + terms.quantity, latest)
    redeemed = {**after.redeemed, terms.reward_id: taken}
    return replace(after, holds=holds, recent=recent, redeemed=redeemed)


def _captured(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    """A hold is over. A reward it paid for can still be cancelled, so what was paid is kept."""
    terms = _told(entry.hold)
    holds = _without(after.holds, terms.hold_id)
    if terms.reward_id is None:
        return replace(after, holds=holds)
    paid = tuple(
        Parcel(lot_of(p), p.wallet, before.lots[lot_of(p)].expires, p.amount)
        for p in entry.postings
        if p.account.startswith("redemption/")
    )
    redemption = Redemption(terms.reward_id, terms.quantity, paid, terms.money)
    redemptions = {**after.redemptions, terms.hold_id: redemption}
    return replace(after, holds=holds, redemptions=redemptions)


def _released(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    terms = _told(entry.hold)
    after = replace(after, holds=_without(after.holds, terms.hold_id))
    return _not_redeemed(after, terms)


def _cancelled(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    terms = _told(entry.hold)
    after = replace(after, redemptions=_without(after.redemptions, terms.hold_id))
    return _not_redeemed(after, terms)


def _not_redeemed(account: Account, terms: HoldTerms) -> Account:
    """What was given back does not count against the limits of its reward."""
    if terms.reward_id is None or (old := account.redeemed.get(terms.reward_id)) is None:
        return account
    latest = tuple(one for one in old.latest if one[0] != terms.hold_id)
    left = Redeemed(old.total - terms.quantity, latest)
    if not left.total:
        return replace(account, redeemed=_without(account.redeemed, terms.reward_id))
    return replace(account, redeemed={**account.redeemed, terms.reward_id: left})


def _unlocked(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    """The next period of the vesting lot begins."""
    lot = lot_of(entry.postings[0])
    vesting = after.vesting[lot]
    rest = vesting.instalments[1:] if entry.kind == "vest" else ()
    if not rest:
        return replace(after, vesting=_without(after.vesting, lot))
    began = Vesting(vesting.rule, vesting.instalments[0].due, rest)
    return replace(after, vesting={**after.vesting, lot: began})


def _sent(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    terms = _told_transfer(entry)
    points = sum(parcel.points for parcel in terms.parcels)
    sent = Sent(terms.other, terms.until, terms.parcels)
    return replace(
        after,
        sent={**after.sent, terms.transfer_id: sent},
        recent=_recent(after, at, points),
    )


def _sent_back(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    return replace(after, sent=_without(after.sent, _told_transfer(entry).transfer_id))


def _received(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    """What comes into a pool counts as its sender's contribution; not what expired on the way."""
    terms = _told_transfer(entry)
    if (giver := after.pool.get(terms.other)) is None:
        return after
    points = sum(parcel.points for parcel in terms.parcels)
    points -= sum(p.amount for p in entry.postings if p.account.startswith("breakage/"))
    member = replace(giver, contributed=giver.contributed + points)
    return replace(after, pool={**after.pool, terms.other: member})


def _adjusted(before: Account, after: Account, entry: PointsPosted, at: int) -> Account:
    if entry.adjustment is None:
        return after
    return replace(after, requests=_without(after.requests, entry.adjustment.request_id))


Special = Callable[[Account, Account, PointsPosted, int], Account]
_ENTRIES: dict[str, Special] = {
    "hold": _held,
    "capture": _captured,
    "release": _released,
    "cancel": _cancelled,
    "vest": _unlocked,
    "forfeit": _unlocked,
    "transfer_out": _sent,
    "transfer_back": _sent_back,
    "transfer_in": _received,
    "adjust": _adjusted,
}


def _marked_fulfilled(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    return replace(after, redemptions=_without(after.redemptions, mark.mark_id))


def _marked_contact(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    return replace(after, contact_changed=max(after.contact_changed, at))


def _marked_done(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    return replace(after, sent=_without(after.sent, mark.mark_id))


def _marked_requested(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    if mark.adjustment is None:
        raise ValueError("a request for an adjustment says which")
    return replace(after, requests={**after.requests, mark.mark_id: mark.adjustment})


def _marked_rejected(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    return replace(after, requests=_without(after.requests, mark.mark_id))


def _marked_pool(before: Account, after: Account, mark: AccountMarked, at: int) -> Account:
    """Somebody founds, is invited to, joins or leaves a pool; ``other`` says who."""
    if mark.other is None:
        raise ValueError("a mark on a pool says whose it is")
    if mark.kind == "pool_left":
        return replace(after, pool=_without(after.pool, mark.other))
    old = after.pool.get(mark.other)
    role = mark.role or (old.role if old else "contributor")
    joined = mark.kind != "pool_invited"
    member = PoolMember(role, old.contributed if old else 0, joined)  # type: ignore[arg-type]
    return replace(after, pool={**after.pool, mark.other: member})


MarkSpecial = Callable[[Account, Account, AccountMarked, int], Account]
_MARKS: dict[str, MarkSpecial] = {
    "fulfilled": _marked_fulfilled,
    "contact_changed": _marked_contact,
    "transfer_done": _marked_done,
    "adjustment_requested": _marked_requested,
    "adjustment_rejected": _marked_rejected,
    "pool_opened": _marked_pool,
    "pool_invited": _marked_pool,
    "pool_joined": _marked_pool,
    "pool_left": _marked_pool,
}


def _recent(account: Account, at: int, points: int) -> tuple[tuple[int, int], ...]:
    """What was lately spent or sent: (time, points), for the limits on how fast."""
    kept = (*(one for one in account.recent if at - one[0] < RECENT), (at, points))
    if len(kept) <= MOST_RECENT:
        return kept
    # The oldest two count as one: with many small amounts nobody makes a large one forgotten.
    (_, first), (second_at, second), *others = kept
    return ((second_at, first + second), *others)


def _without(mapping: dict[str, Value], key: str) -> dict[str, Value]:
    return {name: value for name, value in mapping.items() if name != key}


def _told(terms: HoldTerms | None) -> HoldTerms:
    if terms is None:
        raise ValueError("an entry about a hold says which")
    return terms


def _told_transfer(entry: PointsPosted) -> TransferTerms:
    if entry.transfer is None:
        raise ValueError("an entry about a transfer says which")
    return entry.transfer
