"""The points service's copy of the member cards: who may have a reward, what a bonus asks.

The cards travel on the compacted topic ``members.cards.v1``, keyed by member; the newest holds. A
card's ``seq`` rises with everything that touches it and is the same after a rebuild; of two with
the same seq the one with the longer past holds.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.members import CardChange, MemberCard
from kit.clock import DAY
from kit.errors import ServiceError
from kit.rules import Facts
from kit.views.port import Collection, Document, Views
from programmes.vocabularies import MEMBER

CARDS = Collection("cards")
ATTEMPTS = 20


class Copy(msgspec.Struct, frozen=True):
    """A card, and its seq on the topic."""

    seq: int
    card: MemberCard


_encoder = msgspec.json.Encoder()
_copy = msgspec.json.Decoder(Copy)
_card = msgspec.json.Decoder(MemberCard)


async def absorb(views: Views, facts: Iterable[Fact]) -> int:
    """Take in cards, several of a member in any order; return how many members' cards are newer.

    Taking them in again changes nothing. Facts that are no cards are passed over.
    """
    newest: dict[str, Copy] = {}
    for fact in facts:
        if fact.type == "MemberCard":
            copy = Copy(fact.seq, _card.decode(fact.body))
            newest[copy.card.member_id] = _newer(newest.get(copy.card.member_id), copy)
    taken, left = 0, newest
    for _ in range(ATTEMPTS):
        if not left:
            return taken
        saved, left = await _save(views, left)
        taken += saved
    if left:
        raise ServiceError("conflict", "contended", "Too many writers of cards; try again")
    return taken


async def _save(views: Views, newest: dict[str, Copy]) -> tuple[int, dict[str, Copy]]:
    """Write those that are newer than what is there; return how many, and those that lost."""
    there = await views.load(CARDS, list(newest))
    documents = []
    for member_id, copy in newest.items():
        document = there.get(member_id)
        known = _copy.decode(document.body) if document else None
        if _newer(known, copy) is copy:
            version = document.version if document else 0
            documents.append(Document(member_id, version, _encoder.encode(copy)))
    if not documents:
        return 0, {}
    lost = await views.save(CARDS, documents)
    return len(documents) - len(lost), {member_id: newest[member_id] for member_id in lost}


def _newer(known: Copy | None, copy: Copy) -> Copy:
    if known is None or copy.seq > known.seq:
        return copy
    if copy.seq == known.seq and copy.card.complete_from < known.card.complete_from:
        return copy
    return known


async def cards(views: Views, members: Sequence[str]) -> dict[str, MemberCard]:
    """Return the newest card of each member who has one."""
    found = await views.load(CARDS, members)
    return {member_id: _copy.decode(document.body).card for member_id, document in found.items()}


async def card(views: Views, member_id: str) -> MemberCard | None:
    """Return a member's newest card; None when there is none yet."""
    return (await cards(views, [member_id])).get(member_id)


def as_of(card: MemberCard, now: int) -> MemberCard:
    """The card as it stands at ``now``: with the changes that time alone has brought since."""
    change = _standing(card, now)
    return replace(card, tier=change.tier, stage=change.stage, value_class=change.value_class)


def _standing(card: MemberCard, now: int) -> CardChange:
    for change in (*reversed(card.due), *reversed(card.changes)):
        if change.at <= now:
            return change
    return CardChange(0, card.enrolled_at, card.tier, card.stage, card.value_class)


def facts(card: MemberCard, now: int) -> Facts:
    """What rules on members see of a card at ``now``; region is as the card last had it."""
    standing = as_of(card, now)
    return MEMBER.bind(
        {
            "member.tier": standing.tier,
            "member.stage": standing.stage,
            "member.value_class": standing.value_class,
            "member.tenure_days": max(0, now - card.enrolled_at) // DAY,
            "member.region": card.region,
            "member.channel": card.channel,
        }
    )
