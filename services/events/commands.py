"""Recording activities: claim the id, decide, append.

An id belongs to one member for good, so it is claimed in the registry before the activity is
appended. A claim that fails is looked at: it is a misuse of the id, a retry of what was recorded,
or what a crash left between the two steps, and then recording goes on.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from contracts.envelope import Fact
from contracts.events import ActivityRecorded, ReturnRequest
from kit.errors import ServiceError
from kit.streams import ATTEMPTS, Command, New
from kit.telemetry import current_traceparent
from kit.views.port import Document
from services.events.domain.identity import is_source_of
from services.events.domain.recording import (
    LOOK_AGAIN,
    ActivityState,
    Record,
    Recorded,
    match_key,
    owed,
    record,
)
from services.events.domain.returns import Purchase, take_back, with_returns
from services.events.intake import Intake
from services.events.views import (
    ACTIVITY_INDEX,
    Registered,
    registered,
    registration,
)
from services.events.wiring import Wiring

PAGE = 1_000
LOOKUPS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an activity: the fact, new or known, or the refusal."""

    fact: Fact | None = None
    duplicate: bool = False
    error: ServiceError | None = None


@dataclass(slots=True)
class _Item:
    """An activity on its way through a batch."""

    intake: Intake
    outcome: Outcome | None = None
    purchase: Purchase | None = None
    looked_at: int = -1

    @property
    def id(self) -> str:
        return self.intake.activity.activity_id

    @property
    def member_id(self) -> str:
        return self.intake.activity.member_id

    @property
    def is_return(self) -> bool:
        return self.intake.activity.requested is not None

    @property
    def request(self) -> ReturnRequest:
        """What a return asks for."""
        assert self.intake.activity.requested is not None
        return self.intake.activity.requested


@dataclass(slots=True)
class _Places:
    """Where a member's next activity may go; see ``_waves``."""

    least: int = 0
    last: int = field(default=-1)


async def record_activities(wiring: Wiring, intakes: Sequence[Intake]) -> list[Outcome]:
    """Record activities, in order for each member; an outcome for each, in the order given.

    Raises Unavailable when the store is out: then any part may have been recorded, and the same
    request again finds out.
    """
    items = [_Item(intake) for intake in intakes]
    for wave in _waves(items):
        await _record_wave(wiring, wave)
    return [item.outcome or Outcome() for item in items]


def _waves(items: Iterable[_Item]) -> list[list[_Item]]:
    """Split a batch so that a return is alone among its member's, and an id is there once.

    What a return takes back is looked up before its wave, when what precedes it is recorded.
    """
    waves: list[list[_Item]] = []
    places: dict[str, _Places] = {}
    last_of_id: dict[str, int] = {}
    for item in items:
        place = places.setdefault(item.member_id, _Places())
        wave = max(place.least, last_of_id.get(item.id, -1) + 1)
        if item.is_return:
            wave = max(wave, place.last + 1)
        place.last, place.least = wave, wave + item.is_return
        last_of_id[item.id] = wave
        while len(waves) <= wave:
            waves.append([])
        waves[wave].append(item)
    return waves


async def _record_wave(wiring: Wiring, wave: list[_Item]) -> None:
    returns = [item for item in wave if item.is_return]
    if returns:
        await _refuse_impossible_returns(wiring, returns)
    wave = [item for item in wave if item.outcome is None]
    documents = [
        registration(item.id, Registered(item.member_id, item.intake.input_hash)) for item in wave
    ]
    lost = set(await wiring.store.views.save(ACTIVITY_INDEX, documents))
    if lost:
        await _settle_known(wiring, [item for item in wave if item.id in lost])
        wave = [item for item in wave if item.outcome is None]
    await _append(wiring, wave)


async def _refuse_impossible_returns(wiring: Wiring, returns: list[_Item]) -> None:
    """Refuse before an id is claimed, so that the mended return may come under the same id."""
    purchases = {item.request.activity_id for item in returns}
    known = await wiring.store.views.load(
        ACTIVITY_INDEX, [*purchases, *(item.id for item in returns)]
    )
    for item in returns:
        if item.id in known:
            continue
        entry = known.get(item.request.activity_id)
        if await _is_of_another_partner(wiring, item, entry):
            item.outcome = Outcome(error=_not_their_sale())
        elif entry is not None and registered(entry).member_id != item.member_id:
            item.outcome = Outcome(error=_not_theirs())
        else:
            await _look_up(wiring, item)
            _refuse_if_too_much(item)


async def _is_of_another_partner(wiring: Wiring, item: _Item, entry: Document | None) -> bool:
    """Whether a partner names by its id a purchase that is not from its own sources.

    One that is not here may turn out to be another's, for ids can be computed in advance; to tell
    it from another's that is here would tell what others have recorded.
    """
    partner = item.intake.purchase_of
    if partner is None:
        return False
    if entry is None:
        return True
    key = item.request.activity_id
    stream = wiring.recording.stream(registered(entry).member_id)
    found = (await wiring.activities.find(stream, [key])).get(key)
    return found is None or not is_source_of(wiring.recording.body(found).source, partner)


def _refuse_if_too_much(item: _Item) -> None:
    if item.purchase is None or item.outcome is not None:
        return
    try:
        take_back(item.purchase, item.request)
    except ServiceError as error:
        item.outcome = Outcome(error=error)


async def _look_up(wiring: Wiring, item: _Item) -> None:
    """Find the purchase that a return is of, and what has come back of it.

    The head is read first: a stream that has grown since makes the decision look again.
    """
    stream = wiring.recording.stream(item.member_id)
    item.looked_at = await wiring.activities.head(stream)
    key = item.request.activity_id
    found = (await wiring.activities.find(stream, [key])).get(key)
    item.purchase = None
    if found is not None:
        body = wiring.recording.body(found)
        if body.type == "purchase":
            item.purchase = await _purchase(wiring, found, body)
        else:
            item.outcome = Outcome(error=_not_a_purchase(body.type))
    elif key == item.id:
        item.outcome = Outcome(error=_not_a_purchase("return"))


async def _purchase(wiring: Wiring, fact: Fact, body: ActivityRecorded) -> Purchase:
    purchase = Purchase(body.activity_id, fact.seq, fact.occurred_at, body.lines, {})
    after = fact.seq
    while facts := await wiring.activities.read(fact.stream, after, PAGE):
        bodies = [wiring.recording.body(later) for later in facts]
        purchase = with_returns(purchase, (b.returned for b in bodies if b.returned is not None))
        after = facts[-1].seq
        if len(facts) < PAGE:
            break
    return purchase


async def _settle_known(wiring: Wiring, items: list[_Item]) -> None:
    """Give those whose id was known their outcome, unless the activity is still to be recorded."""
    entries = await wiring.store.views.load(ACTIVITY_INDEX, [item.id for item in items])
    ours: dict[str, list[_Item]] = {}
    for item in items:
        entry = registered(entries[item.id])
        if entry.member_id != item.member_id:
            item.outcome = Outcome(error=_taken())
        elif entry.input_hash != item.intake.input_hash:
            item.outcome = Outcome(error=_reused())
        else:
            ours.setdefault(item.member_id, []).append(item)
    members = list(ours)
    for start in range(0, len(members), LOOKUPS_AT_ONCE):
        part = members[start : start + LOOKUPS_AT_ONCE]
        await asyncio.gather(*(_find_recorded(wiring, ours[member]) for member in part))
    repeats = [item for item in items if item.outcome is not None and item.outcome.duplicate]
    await _write_owed(wiring, [item.member_id for item in repeats])


async def _find_recorded(wiring: Wiring, items: list[_Item]) -> None:
    stream = wiring.recording.stream(items[0].member_id)
    found = await wiring.activities.find(stream, [item.id for item in items])
    for item in items:
        if item.id in found:
            item.outcome = Outcome(found[item.id], duplicate=True)
        elif item.is_return:
            await _look_up(wiring, item)


async def _write_owed(wiring: Wiring, members: Iterable[str]) -> None:
    """Finish what a crash has left between a purchase and the returns that waited for it."""
    heads = await wiring.recording.heads(members, fresh=True)
    commands: list[Command[Record | None]] = [
        Command(member, match_key(head.state.owed[0].match.activity_id), b"", None)
        for member, head in heads.items()
        if head.state.owed
    ]
    if commands:
        await wiring.recording.execute(commands, _decide)


async def _append(wiring: Wiring, items: list[_Item]) -> None:
    """Append; a return that was overtaken since it was looked up is looked up again."""
    trace = current_traceparent()
    for _ in range(ATTEMPTS):
        if not items:
            return
        commands = [_command(item, trace) for item in items]
        results = await wiring.recording.execute(commands, _decide)
        overtaken: list[_Item] = []
        for item, result in zip(items, results, strict=True):
            if result.error is not None and result.error.code == LOOK_AGAIN:
                await _look_up(wiring, item)
                if item.outcome is None:
                    overtaken.append(item)
            else:
                fact = next((fact for fact in result.facts if fact.key == item.id), None)
                item.outcome = Outcome(fact, result.repeated, result.error)
        items = overtaken
    if items:
        raise ServiceError("conflict", "contended", "Too many writers on one stream; try again")


def _command(item: _Item, trace: str | None) -> Command[Record | None]:
    payload = Record(item.intake.activity, item.intake.occurred_at, item.purchase, item.looked_at)
    return Command(item.member_id, item.id, item.intake.input_hash, payload, trace)


def _decide(state: ActivityState, command: Record | None) -> list[New]:
    facts = owed(state) if command is None else record(state, command)
    return [_new(fact) for fact in facts]


def _new(fact: Recorded) -> New:
    if isinstance(fact.body, ActivityRecorded):
        return New(fact.key, "ActivityRecorded", fact.occurred_at, fact.body)
    return New(fact.key, "ReturnMatched", fact.occurred_at, fact.body, input_hash=b"match")


def _taken() -> ServiceError:
    return ServiceError(
        "conflict",
        "activity_id_taken",
        "This source and external_id belong to another member's activity; use ids of your own",
    )


def _reused() -> ServiceError:
    return ServiceError(
        "conflict",
        "activity_id_reused",
        "This source and external_id came before with other content; send a new id, or the same",
    )


def _not_a_purchase(kind: str) -> ServiceError:
    return ServiceError("refused", "not_a_purchase", "Only a purchase can be returned", type=kind)


def _not_their_sale() -> ServiceError:
    return ServiceError(
        "forbidden",
        "source_not_allowed",
        "No purchase from a source of yours has this `purchase.activity_id`. Name a purchase that "
        "is still to come by its `external_id`",
    )


def _not_theirs() -> ServiceError:
    return ServiceError(
        "refused", "purchase_of_another_member", "The purchase belongs to another member"
    )
