"""Deciding activities as they and the member cards arrive: the handler of the worker.

Decision n of a member is fact n of ``decision:{member}``, so however many workers meet on a member,
an activity is decided once. Each batch is one load, one append, one save. What a worker remembers
of a member may be behind what another has written; then its append or save loses, and it reads.

Activities that wait for a card are kept in a bounded memory; beyond it, and after a restart, they
are read from the journal when the card has come.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.events import ActivityRecorded, ReturnMatched
from contracts.members import MemberCard
from kit.bus.consume import Envelope
from kit.clock import Clock
from kit.errors import BrokenInvariant, Unavailable
from kit.journal.port import Appended, Draft, Journal
from kit.views.port import Query, Views
from services.events.campaigns import Campaigns
from services.events.domain.as_of import Progress, absorb, suffices
from services.events.domain.earning import Decision, decide_return
from services.events.domain.waiting import Pending, standing, waits_until
from services.events.views import DECIDING, progress_document, progress_of

ATTEMPTS = 20
PAGE = 500
DUE_AT_ONCE = 500
SAME = b"decision"  # whoever decides an activity first has decided it

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()
_card = msgspec.json.Decoder(MemberCard)


class _Kind(msgspec.Struct, frozen=True):
    """As much of an activity as it takes to tell a return."""

    type: str = "return"


_kind = msgspec.json.Decoder(_Kind)
_BODIES: dict[str, msgspec.json.Decoder[Any]] = {
    "ActivityRecorded": msgspec.json.Decoder(ActivityRecorded),
    "ReturnMatched": msgspec.json.Decoder(ReturnMatched),
}


@dataclass(slots=True)
class _News:
    """What has come in about a member. ``decided`` is how far the journal is known to be."""

    cards: list[Fact] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    due: bool = False
    decided: int = 0


@dataclass(slots=True)
class _Case:
    """A member in one pass: progress as stored, with the news taken in, and after deciding.

    ``lacks``: the next activity could be decided, but it is in the journal only.
    """

    member_id: str
    version: int
    stored: Progress
    before: Progress
    facts: dict[int, Fact]
    due: bool
    after: Progress = field(default_factory=Progress)
    drafts: list[Draft] = field(default_factory=list)
    lacks: bool = False


@dataclass
class Decider:
    """The worker's handler. ``most_waiting`` bounds the activities kept in memory."""

    activities: Journal
    decisions: Journal
    views: Views
    campaigns: Campaigns
    clock: Clock
    most_known: int = 20_000
    most_waiting: int = 20_000
    _known: OrderedDict[str, tuple[int, Progress]] = field(default_factory=OrderedDict)
    _waiting: OrderedDict[str, dict[int, Fact]] = field(default_factory=OrderedDict)
    _waiting_count: int = 0

    async def handle(self, batch: Sequence[Envelope]) -> None:
        """Take in a batch of activities and cards, and decide what can be decided."""
        news: dict[str, _News] = {}
        for envelope in batch:
            fact = envelope.fact
            if fact.type == "MemberCard":
                news.setdefault(fact.owner, _News()).cards.append(fact)
            elif fact.type in _BODIES:
                news.setdefault(fact.owner, _News()).facts.append(fact)
        await self._settle(news)

    async def look_again(self) -> int:
        """Decide the activities that have waited long enough; return how many members had one."""
        query = Query(order_by="waiting_until", lower=1, upper=self.clock() + 1, limit=DUE_AT_ONCE)
        members = [document.id for document in await self.views.find(DECIDING, query)]
        try:
            await self._settle({member: _News(due=True) for member in members})
        except (BrokenInvariant, msgspec.MsgspecError):
            for member in members:
                await self._settle_alone(member)
        return len(members)

    async def _settle_alone(self, member_id: str) -> None:
        """One member whose data are broken must not hold up the others."""
        try:
            await self._settle({member_id: _News(due=True)})
        except (BrokenInvariant, msgspec.MsgspecError) as error:
            _log.error("cannot_decide", member_id=member_id, exc_info=error)

    def forget(self) -> None:
        """Drop what is remembered (after a rebuild)."""
        self._known.clear()
        self._waiting.clear()
        self._waiting_count = 0

    async def _settle(self, news: dict[str, _News]) -> None:
        """Decide until nothing more can be; raises Unavailable when others keep being faster."""
        losses = 0
        while news:
            lost, news = await self._pass(news)
            losses += bool(lost)
            if losses > ATTEMPTS:
                raise Unavailable(DECIDING.name, "other writers keep being faster")
            news = lost | news

    async def _pass(self, news: dict[str, _News]) -> tuple[dict[str, _News], dict[str, _News]]:
        """Decide once; return the members that lost a race, and those with more to be read."""
        now = self.clock()
        cases = await self._cases(news, now)
        for case in cases:
            self._plan(case, now)
        await asyncio.gather(*(self._fill(case, now) for case in cases if case.lacks))
        lost = await self._append(cases, news)
        won = [case for case in cases if case.member_id not in lost]
        lost |= await self._save(won, news)
        self._remember([case for case in won if case.member_id not in lost])
        for member_id in lost:
            self._forget_member(member_id)
        more = [case for case in won if case.lacks and case.member_id not in lost]
        return lost, {case.member_id: _News(due=case.due) for case in more}

    async def _cases(self, news: dict[str, _News], now: int) -> list[_Case]:
        cold = [member_id for member_id in news if member_id not in self._known]
        documents = await self.views.load(DECIDING, cold) if cold else {}
        cases: list[_Case] = []
        for member_id in sorted(news):
            known = self._known.get(member_id)
            if known is None:
                document = documents.get(member_id)
                known = (document.version if document else 0, progress_of(document))
            cases.append(self._case(member_id, known, news[member_id], now))
        return cases

    def _case(self, member_id: str, known: tuple[int, Progress], news: _News, now: int) -> _Case:
        version, stored = known
        progress = stored
        if news.decided > progress.decided:
            progress = replace(progress, decided=news.decided)
        for fact in news.cards:
            progress = absorb(progress, _card.decode(fact.body), fact.seq, now)
        facts = dict(self._waiting.get(member_id, ()))
        facts.update((fact.seq, fact) for fact in news.facts if fact.seq > progress.decided)
        return _Case(member_id, version, stored, progress, facts, news.due)

    def _plan(self, case: _Case, now: int) -> None:
        """Decide a member's next activities, in order, until one has to wait."""
        before, facts = case.before, case.facts
        decided, until = before.decided, None
        case.drafts, case.lacks = [], False
        while (fact := facts.get(decided + 1)) is not None:
            decision = self._decision(before, fact, now, due=case.due)
            if decision is None:
                until = self._waits_until(before, fact, now, first=not case.drafts)
                break
            case.drafts.append(_draft(case.member_id, fact, decision, now))
            decided += 1
        seen = max(before.seen, decided, max(facts, default=0))
        if fact is None and decided < seen:
            case.lacks = case.due or bool(case.drafts) or _may_decide(before, decided + 1)
            until = before.waiting_until if not case.drafts else None
        case.after = Progress(
            decided, seen, until, before.carded_at, before.card_version, before.card
        )

    def _decision(self, progress: Progress, fact: Fact, now: int, *, due: bool) -> Decision | None:
        pending = _pending(fact)
        as_of = standing(progress, pending, now, self.campaigns.decide_within, due=due)
        if as_of is None:
            return None
        body = _BODIES[fact.type].decode(fact.body)
        if pending.is_return:
            return decide_return(body, self.campaigns.revision)
        assert progress.card is not None
        return self.campaigns.decide(body, fact.occurred_at, progress.card, as_of)

    def _waits_until(self, progress: Progress, fact: Fact, now: int, *, first: bool) -> int | None:
        if not first:
            progress = replace(progress, waiting_until=None)
        return waits_until(progress, _pending(fact), now, self.campaigns.decide_within)

    async def _fill(self, case: _Case, now: int) -> None:
        """Read on in the journal where memory ends, and plan again."""
        stream = f"activity:{case.member_id}"
        facts = await self.activities.read(stream, case.after.decided, PAGE)
        case.facts.update((fact.seq, fact) for fact in facts)
        self._plan(case, now)
        case.lacks = case.lacks and bool(facts)

    async def _append(self, cases: Sequence[_Case], news: dict[str, _News]) -> dict[str, _News]:
        """Append the decisions; return those members on which somebody else was faster."""
        drafts = [draft for case in cases for draft in case.drafts]
        outcomes = iter(await self.decisions.append(drafts) if drafts else ())
        lost: dict[str, _News] = {}
        for case in cases:
            landed = [next(outcomes) for _ in case.drafts]
            if not all(map(_is_appended, landed)):
                head = await self.decisions.head(f"decision:{case.member_id}")
                lost[case.member_id] = _again(case, news, head)
        return lost

    async def _save(self, cases: Sequence[_Case], news: dict[str, _News]) -> dict[str, _News]:
        """Save what has changed; return those members that somebody else has saved meanwhile."""
        changed = [case for case in cases if _changed(case)]
        documents = [progress_document(c.member_id, c.version, c.after) for c in changed]
        losers = set(await self.views.save(DECIDING, documents))
        for case in changed:
            case.version += 1
        return {
            case.member_id: _again(case, news, case.after.decided)
            for case in changed
            if case.member_id in losers
        }

    def _remember(self, cases: Iterable[_Case]) -> None:
        for case in cases:
            self._forget_member(case.member_id)
            self._known[case.member_id] = (case.version, case.after)
            decided = case.after.decided
            facts = {seq: fact for seq, fact in case.facts.items() if seq > decided}
            if facts and case.after.card is not None:
                self._waiting[case.member_id] = facts
                self._waiting_count += len(facts)
        while len(self._known) > self.most_known:
            self._known.popitem(last=False)
        while self._waiting_count > self.most_waiting:
            self._waiting_count -= len(self._waiting.popitem(last=False)[1])

    def _forget_member(self, member_id: str) -> None:
        self._known.pop(member_id, None)
        self._waiting_count -= len(self._waiting.pop(member_id, ()))


def _again(case: _Case, news: dict[str, _News], decided: int) -> _News:
    """What a member is decided with again: the same news, and what was remembered."""
    return _News(news[case.member_id].cards, list(case.facts.values()), case.due, decided)


def _is_appended(outcome: Appended) -> bool:
    return outcome.outcome == "appended"


def _changed(case: _Case) -> bool:
    stored, after = case.stored, case.after
    return stored.card is not after.card or (
        (stored.decided, stored.seen, stored.waiting_until)
        != (after.decided, after.seen, after.waiting_until)
    )


def _may_decide(progress: Progress, seq: int) -> bool:
    return progress.card is not None and suffices(progress.card, seq)


def _pending(fact: Fact) -> Pending:
    is_return = fact.type == "ReturnMatched" or _kind.decode(fact.body).type == "return"
    return Pending(fact.seq, fact.occurred_at, fact.posted_at, is_return)


def _draft(member_id: str, fact: Fact, decision: Decision, now: int) -> Draft:
    return Draft(
        f"decision:{member_id}",
        fact.seq,
        fact.key,
        SAME,
        type(decision).__name__,
        fact.occurred_at,
        now,
        _encoder.encode(decision),
        1,
        fact.trace,
    )
