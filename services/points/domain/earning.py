"""What activities do to an account: earn, take back, open what waited for them.

Invariants:

* a decision is posted once: its seq must be above the last one absorbed;
* a return takes back ``f(after) - f(before)`` of each line, ``f`` rising from 0 to all the line
  earned: in however many parts a line comes back, what is taken never exceeds what it earned, and
  equals it once all of it is back;
* it takes from what still waits; then from what of that lot expired, since those points are gone
  already; then from what is left of that lot, then from the other lots in the order of spending;
  and what is missing then makes the balance negative, or is forgiven, as the policy says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import msgspec

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import LotTerms, Posting, Progress
from services.points.domain.account import Account, debt_lot, endless_lot, lot_of, target_lot
from services.points.domain.advancing import advance, open_lot
from services.points.domain.entries import (
    Course,
    Policy,
    between,
    fill_debt,
    opening,
    spend_order,
)
from services.points.domain.terms import (
    ENDLESS,
    Credit,
    Expiry,
    LotRules,
    credit,
    endless,
    last_day,
    local_day,
    start_of,
)


class Earn(msgspec.Struct, frozen=True):
    """Post what a decision granted. ``credits`` are the grants' points and lots, in their order.

    ``about`` is the purchase that the activity concerns: it may open what that one earned.
    """

    owner: str
    activity_id: str
    seq: int
    at: int
    grants: tuple[Grant, ...]
    credits: tuple[Credit, ...]
    progress: Progress | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """An activity that earned nothing, but may extend, open or vest something."""

    owner: str
    activity_id: str
    seq: int
    at: int
    progress: Progress
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Earned:
    """What a purchase earned, by its own entry: each grant and the lot it went into."""

    grants: tuple[Grant, ...] = ()
    lots: tuple[str, ...] = ()

    def pairs(self) -> list[tuple[Grant, str]]:
        """Each grant with its lot."""
        lots = self.lots or tuple(endless_lot(grant.wallet) for grant in self.grants)
        return list(zip(self.grants, lots, strict=True))


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back what a purchase earned."""

    owner: str
    activity_id: str
    seq: int
    at: int
    returned: ReturnedPurchase
    earned: Earned
    progress: Progress | None = None


class Granted(Protocol):
    """What the lot of a grant depends on."""

    @property
    def campaign_id(self) -> str:
        """Which campaign granted it."""

    @property
    def wallet(self) -> str:
        """Into which wallet."""

    @property
    def points(self) -> int:
        """How many."""


def entry_key(seq: int) -> str:
    """The journal key of the entry for decision ``seq``: a purchase's return finds it by this."""
    return f"reward:{seq}"


def credits(
    rules: LotRules, grants: Sequence[Granted], tier: str, at: int, activity_id: str, seq: int
) -> tuple[Credit, ...]:
    """The lots that grants go into."""
    made = []
    for place, grant in enumerate(grants):
        wallet, points = grant.wallet, grant.points
        rule = rules.rule(wallet, grant.campaign_id, tier)
        if rule is ENDLESS:
            made.append(Credit(wallet, points, endless(wallet)))
        else:
            name = f"{seq}.{place}"
            made.append(credit(rules, rule, wallet, points, at, activity_id, name))
    return tuple(made)


def earn(course: Course, command: Earn, policy: Policy) -> None:
    """Add the entry of a decision; nothing when it was posted before or moves nothing."""
    if command.seq <= course.account.absorbed:
        return
    granted = [each for each in command.credits if each.points]
    if not granted:
        note(
            course,
            command.seq,
            command.activity_id,
            command.at,
            command.progress,
            command.about,
            policy,
        )
        return
    advance(course, command.at, policy)
    _open_awaited(course, command.progress, command.about, command.at, command.activity_id)
    lots = [each.terms.lot for each in command.credits]
    terms = [each.terms for each in granted]
    course.post(
        "earn",
        entry_key(command.seq),
        command.at,
        _issued(course.account, granted),
        seq=command.seq,
        activity_id=command.activity_id,
        grants=command.grants,
        lots=tuple(lots) if [lot for lot in lots if not lot.endswith(".never")] else (),
        terms=_moving(course.account, terms, command.progress, command.at, policy),
        vesting=tuple([each.vesting for each in granted if each.vesting]),
        progress=command.progress if course.account.vesting else None,
    )
    advance(course, course.account.at, policy)


def _issued(account: Account, granted: Sequence[Credit]) -> list[Posting]:
    """Postings of points into their lots; a negative balance is filled by what can be spent."""
    sums: dict[str, int] = {}
    wallets: dict[str, str] = {}
    for each in granted:
        lot = each.terms.lot
        sums[lot] = sums.get(lot, 0) + each.points
        wallets[lot] = each.wallet
    postings: list[Posting] = []
    owing: dict[str, None] = {}
    for lot, wallet in wallets.items():
        kind = "pending" if "~" in lot else "member"
        postings += between("issuance", kind, wallet, lot, sums[lot])
        if debt_lot(wallet) in account.lots:
            owing[wallet] = None
    for wallet in owing:
        fresh = [lot for lot in sums if wallets[lot] == wallet and "~" not in lot]
        postings += fill_debt(account, wallet, [(lot, sums[lot]) for lot in fresh])
    return postings


def _moving(
    account: Account,
    terms: Sequence[LotTerms],
    progress: Progress | None,
    at: int,
    policy: Policy,
) -> tuple[LotTerms, ...]:
    """The lots that an entry opens or that live longer for it."""
    return opening(account, (*extensions(account, progress, at, policy), *terms))


def note(
    course: Course,
    seq: int,
    activity_id: str,
    at: int,
    progress: Progress | None,
    about: str | None,
    policy: Policy,
) -> None:
    """Add what an activity changes that moves no points of its own accord; often nothing."""
    if seq <= course.account.absorbed:
        return
    advance(course, at, policy)
    _open_awaited(course, progress, about, at, activity_id)
    terms = extensions(course.account, progress, at, policy)
    if terms or (progress is not None and course.account.vesting):
        course.mark(
            "progress",
            f"progress:{seq}",
            at,
            activity_id,
            reward_seq=seq,
            progress=progress,
            terms=terms,
        )
    advance(course, course.account.at, policy)


def _open_awaited(
    course: Course, progress: Progress | None, about: str | None, at: int, activity_id: str
) -> None:
    if progress is None or about is None:
        return
    awaited = f"{progress.activity}/{about}"
    for name, lot in list(course.account.lots.items()):
        if lot.awaits == awaited and lot.left > 0:
            open_lot(course, name, lot, at, activity_id)


def extensions(
    account: Account, progress: Progress | None, at: int, policy: Policy
) -> tuple[LotTerms, ...]:
    """The sliding lots that an activity keeps alive, with their new expiry.

    Points that wait to go into one, or that a hold took out of it, live on with it.
    """
    if progress is None or not policy.lots.sliding:
        return ()
    moved: list[LotTerms] = []
    day = local_day(policy.lots.zone, at)
    for rule in policy.lots.sliding:
        if progress.activity not in rule.activities:
            continue
        expires = start_of(policy.lots.zone, last_day(rule, day) + timedelta(days=1))
        for name, lot in account.lots.items():
            if not lot.empty and at < lot.expires < expires and slides(name, rule):
                moved.append(LotTerms(name, lot.wallet, lot.opens, expires))
    return tuple(moved)


def slides(lot: str, rule: Expiry) -> bool:
    """Whether a lot, or the one it waits to go into, is the sliding rule's."""
    return target_lot(lot).endswith(f".sliding-{rule.name}")


def taken_back(earned: Earned, returned: Sequence[ReturnedLine]) -> list[tuple[str, str, int]]:
    """Return what a return takes, as (wallet, lot, points); each grant is taken back by itself."""
    parts = {line.line: line for line in returned}
    taken: dict[tuple[str, str], int] = {}
    for grant, lot in earned.pairs():
        for line, amount, points in grant.lines:
            if amount and (part := parts.get(line)) is not None:
                share = points * part.after // amount - points * part.before // amount
                taken[grant.wallet, lot] = taken.get((grant.wallet, lot), 0) + share
    return [(wallet, lot, points) for (wallet, lot), points in taken.items() if points]


def take_back(course: Course, command: TakeBack, policy: Policy) -> None:
    """Add the entry of a return; nothing when it was posted before or takes nothing."""
    if command.seq <= course.account.absorbed:
        return
    advance(course, command.at, policy)
    postings: list[Posting] = []
    forgiven: dict[str, int] = {}
    terms: list[LotTerms] = []
    for wallet, lot, points in taken_back(command.earned, command.returned.lines):
        taken, rest = reversal(course.account, wallet, lot, points, postings, policy.returns)
        if rest and policy.returns == "unlimited":
            terms.append(LotTerms(debt_lot(wallet), wallet))
            taken += between("member", "issuance", wallet, debt_lot(wallet), rest)
        elif rest:
            forgiven[wallet] = forgiven.get(wallet, 0) + rest
        postings += taken
    if not postings and not forgiven:
        note(course, command.seq, command.activity_id, command.at, command.progress, None, policy)
        return
    course.post(
        "return",
        entry_key(command.seq),
        command.at,
        postings,
        seq=command.seq,
        activity_id=command.activity_id,
        reverses=command.returned.activity_id,
        terms=_moving(course.account, terms, command.progress, command.at, policy),
        forgiven=forgiven,
        progress=command.progress if course.account.vesting else None,
    )


def reversal(
    account: Account, wallet: str, lot: str, points: int, booked: Sequence[Posting], policy: str
) -> tuple[list[Posting], int]:
    """Postings that take points back, and how many could not be taken.

    ``booked`` are the postings of the same entry so far: what they took is no longer there.
    """
    gone: dict[tuple[str, str], int] = {}
    for posting in booked:
        key = (posting.account.partition("/")[0], lot_of(posting))
        gone[key] = gone.get(key, 0) + posting.amount
    postings: list[Posting] = []

    def take(source: str, name: str, there: int) -> None:
        nonlocal points
        part = min(points, there + gone.get((source, name), 0))
        if part > 0:
            postings.extend(between(source, "issuance", wallet, name, part))
            points -= part

    target = target_lot(lot)
    if "~" in lot and (waiting := account.lots.get(lot)) is not None:
        take("pending", lot, waiting.left)
        if policy != "only_pending":
            take("breakage", lot, waiting.expired)
    if policy == "only_pending":
        return postings, points
    if (own := account.lots.get(target)) is not None:
        take("breakage", target, own.expired)
        take("member", target, own.left)
    for name, left in spend_order(account, wallet):
        if name != target:
            take("member", name, left)
    return postings, points
