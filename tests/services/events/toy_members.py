"""A members service as small as can be: tiers by total spend, cards as of any activity."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from contracts.envelope import Fact
from contracts.events import ActivityRecorded
from contracts.members import CardChange, MemberCard
from kit.bus.consume import Envelope
from kit.bus.port import Received

SILVER, GOLD = 60_000, 180_000


@dataclass
class ToyMember:
    """Folds a member's activities; ``recent`` bounds the changes on the card."""

    member_id: str
    recent: int = 64

    def cards(self, facts: Iterable[Fact]) -> Iterator[MemberCard]:
        """The card before the first activity, and after each of them."""
        spend, absorbed, clock = 0, 0, 0
        changes: tuple[CardChange, ...] = (CardChange(0, 0, "member", "need"),)
        yield self._card(absorbed, changes)
        for fact in facts:
            absorbed, clock = fact.seq, max(clock, fact.occurred_at)
            if fact.type == "ActivityRecorded":
                spend += msgspec.json.decode(fact.body, type=ActivityRecorded).amount
            tier = "gold" if spend >= GOLD else "silver" if spend >= SILVER else "member"
            if tier != changes[-1].tier:
                changes = (*changes, CardChange(absorbed, clock, tier, "acceptance"))
            yield self._card(absorbed, changes)

    def _card(self, absorbed: int, changes: tuple[CardChange, ...]) -> MemberCard:
        kept = changes[-self.recent :]
        complete = 0 if len(kept) == len(changes) else kept[0].after_seq + 1
        tier, stage = kept[-1].tier, kept[-1].stage
        return MemberCard(
            self.member_id, absorbed, tier, stage, 0, "store", kept, (), complete, "north"
        )


def card_fact(card: MemberCard, version: int | None = None) -> Fact:
    version = card.absorbed + 1 if version is None else version
    body = msgspec.Raw(msgspec.json.encode(card))
    stream = f"card:{card.member_id}"
    return Fact(stream, version, f"card:{version}", "MemberCard", 0, 0, body)


def cards_of(facts: Sequence[Fact], recent: int = 64) -> list[Fact]:
    """All cards of one member's activities."""
    toy = ToyMember(facts[0].owner, recent)
    return [card_fact(card) for card in toy.cards(facts)]


def first_card(member_id: str) -> Fact:
    return card_fact(next(ToyMember(member_id).cards(())))


def envelopes(*facts: Fact) -> list[Envelope]:
    return [
        Envelope(fact, Received("t", 0, offset, fact.owner, b"", 0))
        for offset, fact in enumerate(facts)
    ]
