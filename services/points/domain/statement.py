"""A line of a statement: what an entry moved, wallet by wallet, and what happened in plain words.

Pure, and total: every kind of entry and every reason has its words in every language; what people
wrote themselves as a reason is theirs and not shown. What the words need beside the entry, such as
a reward's name or a bonus's instalments, is `Known`; where something is not known the line says
less, never something wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from contracts.points import HoldTerms, PointsPosted, Posting, VestingTerms
from services.points.domain.account import debt_lot, lot_of
from services.points.domain.phrases import PHRASES, Language, amount, number, written
from services.points.domain.terms import local_day

Names = Mapping[str, Mapping[str, str]]
VESTS = "~vest-"
SHOWN_OF_AN_ID = 3


class Standing(NamedTuple):
    """Points of a wallet that can be spent, that wait, and that holds set aside; or a change."""

    active: int = 0
    pending: int = 0
    held: int = 0

    def plus(self, change: "Standing") -> "Standing":
        """What it is after a change."""
        return Standing(*(a + b for a, b in zip(self, change, strict=True)))

    def minus(self, change: "Standing") -> "Standing":
        """What it was before a change."""
        return Standing(*(a - b for a, b in zip(self, change, strict=True)))


_PLACES = {"member": 0, "pending": 1, "held": 2}


def changes(entry: PointsPosted) -> dict[str, Standing]:
    """What an entry did to each wallet of its owner that it touched, in the entry's order."""
    found: dict[str, list[int]] = {}
    for posting in entry.postings:
        place = _PLACES.get(posting.account.partition("/")[0])
        if place is not None:
            found.setdefault(posting.wallet, [0, 0, 0])[place] += posting.amount
    return {wallet: Standing(*moved) for wallet, moved in found.items()}


def standings(entry: PointsPosted) -> dict[str, Standing]:
    """Every wallet of the owner as it stands after an entry."""
    wallets = dict.fromkeys((*entry.balances, *entry.pending, *entry.held))
    return {wallet: standing(entry, wallet) for wallet in wallets}


def standing(entry: PointsPosted, wallet: str) -> Standing:
    """A wallet as it stands after an entry."""
    return Standing(
        entry.balances.get(wallet, 0), entry.pending.get(wallet, 0), entry.held.get(wallet, 0)
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What a statement knows beside its entries.

    ``spendable`` by wallet; ``rewards`` and ``reasons`` are names by code and language; ``vesting``
    the terms of lots that unlock. ``remarks`` are what senders wrote, by id. ``masked``: of other
    members only the first characters are shown.
    """

    zone: ZoneInfo
    spendable: Mapping[str, bool] = field(default_factory=dict)
    rewards: Names = field(default_factory=dict)
    reasons: Names = field(default_factory=dict)
    vesting: Mapping[str, VestingTerms] = field(default_factory=dict)
    masked: bool = True
    remarks: Mapping[str, str] = field(default_factory=dict)


def tell(entry: PointsPosted, at: int, known: Known, language: Language) -> str:
    """What happened, in one sentence."""
    return _TOLD[entry.kind](_Line(entry, at, known, language))


def masked(member_id: str) -> str:
    """As much of somebody else's id as tells those apart whom one knows anyway."""
    return member_id[: min(SHOWN_OF_AN_ID, max(1, len(member_id) // 2))] + "…"


def rewards_of(entries: Iterable[PointsPosted]) -> set[str]:
    """The rewards whose names the entries' words need."""
    return {e.hold.reward_id for e in entries if e.hold and e.hold.reward_id}


def bonuses_of(entries: Iterable[PointsPosted]) -> dict[str, int]:
    """The lots of whose instalments the words tell, and the seq of the decision that opened each.

    The lot of the second grant of decision 17 is called ``…~vest-17.1``.
    """
    lots = {lot_of(p) for e in entries if e.kind in ("vest", "forfeit") for p in e.postings}
    names = {lot: lot.rpartition(VESTS)[2].partition(".")[0] for lot in lots if VESTS in lot}
    return {lot: int(name) for lot, name in names.items() if name.isdecimal()}


@dataclass(frozen=True, slots=True)
class _Line:
    """An entry with all that is needed to tell it."""

    entry: PointsPosted
    at: int
    known: Known
    language: Language

    def say(self, phrase: str, **places: object) -> str:
        return PHRASES[self.language][phrase].format(**places)

    def day(self, at: int) -> str:
        """A time's day; its year only when it is not the line's."""
        return self.date(local_day(self.known.zone, at))

    def date(self, day: date) -> str:
        return written(day, self.language, beside=local_day(self.known.zone, self.at))

    def points(self, points: int, wallet: str, *, signed: bool = False) -> str:
        return amount(points, wallet, self.language, signed=signed)

    def wallets(self) -> list[str]:
        """The wallets it is about; a return that took nothing is about what it waived."""
        touched = dict.fromkeys(posting.wallet for posting in self.entry.postings)
        return [*touched, *(w for w in self.entry.forgiven if w not in touched)]

    def flow(self, wallet: str, *accounts: str, out: bool = False) -> int:
        """Points of real lots that came into some accounts (or left them)."""
        return sum(
            -p.amount if out else p.amount
            for p in self._postings(wallet, accounts)
            if (p.amount < 0) == out
        )

    def net(self, wallet: str, *accounts: str) -> int:
        return sum(posting.amount for posting in self._postings(wallet, accounts))

    def _postings(self, wallet: str, accounts: Sequence[str]) -> list[Posting]:
        debt = debt_lot(wallet)
        return [
            p
            for p in self.entry.postings
            if p.wallet == wallet and p.lot != debt and p.account.partition("/")[0] in accounts
        ]

    def joined(self, head: str, clauses: Iterable[str]) -> str:
        return self.say("comma").join((head, *clauses))

    def each(self, told: Callable[[str], str]) -> str:
        """What there is to say of each wallet, one after the other."""
        return self.say("semicolon").join(told(wallet) for wallet in self.wallets())

    def some(self, phrase: str, points: int) -> list[str]:
        """A clause about some of the points; none about none."""
        return [self.say(phrase, n=number(points))] if points else []

    def filled(self, wallet: str) -> list[str]:
        return self.some("filled", self.flow(wallet, "fill"))


def _earn(line: _Line) -> str:
    bought = any(grant.lines for grant in line.entry.grants)
    what = line.each(lambda wallet: _earned(line, wallet))
    return line.say("earn_purchase" if bought else "earn_other", what=what)


def _earned(line: _Line, wallet: str) -> str:
    waits: dict[str, int] = {}
    total = 0
    for posting in line.entry.postings:
        if posting.wallet == wallet and posting.account.startswith("issuance/"):
            clause, points = _waits(line, lot_of(posting), wallet), -posting.amount
            waits[clause] = waits.get(clause, 0) + points
            total += points
    clauses = [
        clause if points == total else line.say("part", n=number(points), clause=clause)
        for clause, points in waits.items()
        if clause
    ]
    return line.joined(line.points(total, wallet, signed=True), (*clauses, *line.filled(wallet)))


def _waits(line: _Line, lot: str, wallet: str) -> str:
    """What the points of a lot wait for, as the lot's name says it; nothing when they do not."""
    wait = lot.partition("~")[2]
    if not wait:
        return ""
    if VESTS in lot:
        terms = {each.lot: each for each in line.entry.vesting}.get(lot)
        if terms is None or not terms.instalments:
            return line.say("vests_plain")
        first = line.day(terms.instalments[0].due)
        return line.say("vests", count=len(terms.instalments), date=first)
    opens = _iso(wait[-10:])
    if opens is not None and opens.isoformat() == wait:
        spends = line.known.spendable.get(wallet, True)
        return line.say("opens" if spends else "counts", date=line.date(opens))
    return line.say("awaits_until", date=line.date(opens)) if opens else line.say("awaits")


def _iso(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _return(line: _Line) -> str:
    return line.say("return", what=line.each(lambda wallet: _returned(line, wallet)))


def _returned(line: _Line, wallet: str) -> str:
    missing = -sum(
        p.amount for p in line.entry.postings if p.lot == debt_lot(wallet) and p.amount < 0
    )
    taken = line.flow(wallet, "issuance") + missing
    head = line.points(-taken, wallet) if taken else line.say("nothing")
    return line.joined(
        head,
        (
            *line.some("return_waiting", line.flow(wallet, "pending", out=True)),
            *line.some("return_expired", line.flow(wallet, "breakage", out=True)),
            *line.some("return_debt", missing),
            *line.some("return_forgiven", line.entry.forgiven.get(wallet, 0)),
        ),
    )


def _activate(line: _Line) -> str:
    def opened(wallet: str) -> str:
        points = line.points(line.flow(wallet, "pending", out=True), wallet)
        return line.joined(points, line.filled(wallet))

    spends = any(line.known.spendable.get(wallet, True) for wallet in line.wallets())
    confirmed = "activate_confirmed" if line.entry.activity_id else "activate"
    return line.say(confirmed if spends else "activate_counts", what=line.each(opened))


def _expire(line: _Line) -> str:
    def gone(wallet: str) -> str:
        return line.points(line.flow(wallet, "breakage"), wallet)

    waited = any(line.flow(wallet, "pending", out=True) for wallet in line.wallets())
    last = line.day(line.at - 1)  # a lot is good until the end of its last day
    told = line.say("expire", what=line.each(gone), date=last)
    return line.joined(told, [line.say("expire_waiting")] if waited else [])


def _vest(line: _Line) -> str:
    def unlocked(wallet: str) -> str:
        points = line.points(line.flow(wallet, "pending", out=True), wallet)
        return line.joined(points, line.filled(wallet))

    return _instalment(line, line.each(unlocked))


def _forfeit(line: _Line) -> str:
    return _instalment(
        line, line.each(lambda wallet: line.points(line.flow(wallet, "breakage"), wallet))
    )


def _instalment(line: _Line, what: str) -> str:
    """Which instalment it is: the one that was due at this very moment."""
    lots = {lot_of(posting) for posting in line.entry.postings if VESTS in lot_of(posting)}
    for terms in (line.known.vesting[lot] for lot in lots if lot in line.known.vesting):
        dues = [instalment.due for instalment in terms.instalments]
        if line.at in dues:
            place = dues.index(line.at) + 1
            return line.say(line.entry.kind, number=place, count=len(dues), what=what)
    return line.say(f"{line.entry.kind}_plain", what=what)


def _about(line: _Line, phrase: str, what: str, reason: str | None = None) -> str:
    """What happened to a hold, by its reward's name or by the purpose it was placed for."""
    terms = line.entry.hold
    kind = "reward" if terms is None or terms.reward_id else "purpose"
    exact = f"{phrase}_{kind}_{reason}"
    known = exact in PHRASES[line.language]
    return line.say(
        exact if known else f"{phrase}_{kind}", subject=_subject(line, terms), what=what
    )


def _subject(line: _Line, terms: HoldTerms | None) -> str:
    if terms is None:
        return line.say("redemption")
    if terms.reward_id is None:
        return line.say("purpose", name=terms.purpose)
    name = line.known.rewards.get(terms.reward_id, {}).get(line.language) or terms.reward_id
    many = terms.quantity > 1
    return line.say("reward_many" if many else "reward", name=name, count=terms.quantity)


def _hold(line: _Line) -> str:
    what = line.each(lambda wallet: line.points(line.flow(wallet, "held"), wallet))
    return _about(line, "hold", what)


def _capture(line: _Line) -> str:
    def paid(wallet: str) -> str:
        points = line.flow(wallet, "redemption")
        back = line.flow(wallet, "held", out=True) - points
        return line.joined(
            line.points(points, wallet),
            (*line.some("capture_back", back), *_after_return(line, wallet)),
        )

    return _about(line, "capture", line.each(paid))


def _after_return(line: _Line, wallet: str) -> list[str]:
    """What becomes of points that come back: some have expired, some fill a negative balance."""
    expired = line.some("came_expired", line.flow(wallet, "breakage"))
    return [*expired, *line.filled(wallet)]


def _back(line: _Line, account: str, phrase: str = "come_back") -> str:
    """The points that an account gives back."""

    def returned(wallet: str) -> str:
        points = line.points(line.flow(wallet, account, out=True), wallet)
        return line.joined(line.say(phrase, points=points), _after_return(line, wallet))

    return line.each(returned)


def _release(line: _Line) -> str:
    return _about(line, "release", _back(line, "held"), line.entry.reason)


def _cancel(line: _Line) -> str:
    what = _back(line, "redemption")
    return line.say("cancel", subject=_subject(line, line.entry.hold), what=what)


def _other(line: _Line) -> str:
    """The other side of a transfer; a household pool has no name of its own."""
    other = line.entry.transfer.other if line.entry.transfer else ""
    if other.startswith("@"):
        return line.say("pool")
    return line.say("member", id=masked(other) if line.known.masked else other)


def _transfer_out(line: _Line) -> str:
    what = line.each(lambda wallet: line.points(line.flow(wallet, "transfer"), wallet))
    told = line.say("transfer_out", other=_other(line), what=what)
    terms = line.entry.transfer
    if terms is None or terms.at_once or not terms.until:
        return told
    return line.joined(told, [line.say("transfer_until", date=line.day(terms.until))])


def _transfer_in(line: _Line) -> str:
    return line.say("transfer_in", other=_other(line), what=_back(line, "transfer", "arrive"))


_SENT_BACK = {
    "declined": "transfer_back_declined",
    "timed_out": "transfer_back_timed_out",
    "withdrawn": "transfer_back_withdrawn",
    "not in the pool": "transfer_back_not_in_pool",
}


def _transfer_back(line: _Line) -> str:
    phrase = _SENT_BACK.get(line.entry.reason or "", "transfer_back")
    return line.say(phrase, other=_other(line), what=_back(line, "transfer"))


def _adjust(line: _Line) -> str:
    def corrected(wallet: str) -> str:
        points = -line.net(wallet, "adjustment", "compensation")
        told = line.points(points, wallet, signed=True)
        return line.joined(told, _after_return(line, wallet))

    what, asked = line.each(corrected), line.entry.adjustment
    names = line.known.reasons.get(asked.reason, {}) if asked else {}
    if (name := names.get(line.language)) is None:
        return line.say("adjust_plain", what=what)
    return line.say("adjust", reason=name, what=what)


_TOLD: Mapping[str, Callable[[_Line], str]] = {
    "earn": _earn,
    "return": _return,
    "activate": _activate,
    "expire": _expire,
    "vest": _vest,
    "forfeit": _forfeit,
    "hold": _hold,
    "capture": _capture,
    "release": _release,
    "cancel": _cancel,
    "transfer_out": _transfer_out,
    "transfer_in": _transfer_in,
    "transfer_back": _transfer_back,
    "adjust": _adjust,
}
