"""Reads: a member, their card, stage and tier; lists for agents, counts for marketers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.members import MemberCard
from kit.views.port import Document, Query
from services.members.commands import no_such_member
from services.members.domain.file import search_key
from services.members.domain.relationship import beginning
from services.members.domain.state import Enrolment, Relationship
from services.members.views import (
    FILES,
    RELATIONSHIPS,
    MemberRecord,
    card,
    decode_kept,
    decode_record,
    relationship_stream,
)
from services.members.wiring import Wiring

SCAN_PAGE = 200
MOST_PAGES = 25
Position = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Member:
    """A member file and the relationship that goes with it."""

    record: MemberRecord
    state: Relationship


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to: a beginning of one field, a tier, a stage."""

    field: str | None = None
    prefix: str | None = None
    tier: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list, and where the next one begins."""

    members: list[Member]
    next: Position | None


async def member(wiring: Wiring, member_id: str) -> Member:
    """Return a member. One who has only just enrolled stands at the beginning.

    Raises ServiceError ``missing``.
    """
    found = await members(wiring, [member_id])
    if not found:
        raise no_such_member(member_id)
    return found[0]


async def members(wiring: Wiring, ids: Sequence[str]) -> list[Member]:
    """Return those of the members who are enrolled, in the order given."""
    records = await wiring.views.load(FILES, ids)
    relationships = await wiring.views.load(RELATIONSHIPS, ids)
    return [
        _member(wiring, records[member_id], relationships.get(member_id))
        for member_id in ids
        if member_id in records
    ]


def _member(wiring: Wiring, file: Document, relationship: Document | None) -> Member:
    record = decode_record(file)
    state = beginning(wiring.rules) if relationship is None else decode_kept(relationship).state
    return Member(record, state)


def card_of(found: Member) -> MemberCard:
    """The card as others see it; before the worker has seen the enrolment, the first one."""
    record, state = found.record, found.state
    if state.enrolment is None:
        joined = Enrolment(record.enrolled_at, record.channel, record.file.region)
        state = replace(state, enrolment=joined)
    made = card(record.member_id, state)
    assert made is not None
    return made


async def history(wiring: Wiring, member_id: str, limit: int, before: int | None) -> list[Fact]:
    """Return up to ``limit`` changes of tier and stage, newest first, below seq ``before``."""
    journal, stream = wiring.relationships, relationship_stream(member_id)
    start = before if before is not None else await journal.head(stream) + 1
    return await journal.read(stream, limit=limit, backwards_from=start)


async def page(wiring: Wiring, wanted: Wanted, limit: int, after: Position | None) -> Page:
    """Return a page of members: by a field's beginning, by tier and stage, or all by id."""
    if wanted.field is not None or not (wanted.tier or wanted.stage):
        return await _by_file(wiring, wanted, limit, after)
    return await _by_standing(wiring, wanted, limit, after)


async def _by_file(wiring: Wiring, wanted: Wanted, limit: int, after: Position | None) -> Page:
    """Walk the files in order; tier and stage are looked at one page at a time.

    A page may come back short, with a cursor, when few of very many match.
    """
    found: list[Member] = []
    for _ in range(MOST_PAGES):
        documents = await wiring.views.find(FILES, _file_query(wanted, after))
        for each in await members(wiring, [document.id for document in documents]):
            after = (_key_of(documents, each, wanted.field), each.record.member_id)
            if _matches(each.state, wanted):
                found.append(each)
                if len(found) == limit:
                    return Page(found, after)
        if len(documents) < SCAN_PAGE:
            return Page(found, None)
    return Page(found, after)


def _file_query(wanted: Wanted, after: Position | None) -> Query:
    if wanted.field is None:
        return Query(after=after, limit=SCAN_PAGE)
    lower = search_key(wanted.field, wanted.prefix)
    upper = f"{lower}\U0010ffff"
    return Query(order_by=wanted.field, lower=lower, upper=upper, after=after, limit=SCAN_PAGE)


def _key_of(documents: Sequence[Document], found: Member, field: str | None) -> str | None:
    if field is None:
        return None
    return search_key(field, getattr(found.record.file, field))


def _matches(state: Relationship, wanted: Wanted) -> bool:
    return wanted.tier in (None, state.tier) and wanted.stage in (None, state.stage)


async def _by_standing(wiring: Wiring, wanted: Wanted, limit: int, after: Position | None) -> Page:
    """Walk one combination of tier and stage after the other, each by its index."""
    found: list[Member] = []
    for standing in _standings(wiring, wanted):
        if after is not None and after[0] is not None and standing < after[0]:
            continue
        start = after if after is not None and after[0] == standing else None
        documents = await wiring.views.find(
            RELATIONSHIPS,
            Query(
                equals={"standing": standing},
                after=None if start is None else (None, start[1]),
                limit=limit - len(found),
            ),
        )
        found += await members(wiring, [document.id for document in documents])
        if documents and len(found) == limit:
            return Page(found, (standing, documents[-1].id))
    return Page(found, None)


def _standings(wiring: Wiring, wanted: Wanted) -> list[str]:
    """Tier/stage, as relationships are indexed, of everything that is wanted; in order."""
    return sorted(
        f"{tier.code}/{stage}"
        for tier in wiring.rules.tiers
        for stage in wiring.rules.stages
        if wanted.tier in (None, tier.code) and wanted.stage in (None, stage)
    )


async def summary(wiring: Wiring) -> Mapping[tuple[str, str], int]:
    """Return how many enrolled members there are by tier and stage."""
    counts = await wiring.views.count(RELATIONSHIPS, group_by="standing")
    return {_split(standing): number for standing, number in counts.items() if standing}


def _split(standing: str) -> tuple[str, str]:
    tier, _, stage = standing.partition("/")
    return tier, stage


def totals(counts: Mapping[tuple[str, str], int], codes: Iterable[str], at: int) -> dict[str, int]:
    """Counts by tier (``at`` 0) or by stage (1), none left out."""
    by_code = dict.fromkeys(codes, 0)
    for standing, number in counts.items():
        by_code[standing[at]] = by_code.get(standing[at], 0) + number
    return by_code
