"""Facts that the members worker consumes, and ways to look at what it made of them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from contracts.envelope import Fact, decode_fact
from contracts.events import ActivityRecorded, ReturnedPurchase
from contracts.members import MemberCard, MemberEnrolled, MemberFileChanged
from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS
from kit.bus.port import Bus, Message
from kit.journal.port import Draft, Journal
from kit.relay import message_of
from kit.views.port import Query
from services.members.commands import Enrol, enrol
from services.members.domain.state import Relationship
from services.members.views import RELATIONSHIPS, Kept, decode_kept
from services.members.wiring import Wiring

DAY = 86_400_000_000
START = 1_735_732_800_000_000  # 2025-01-01T12:00:00Z
encode = msgspec.json.encode


def fact(stream: str, seq: int, key: str, at: int, body: object) -> Fact:
    name = type(body).__name__
    return Fact(stream, seq, key, name, at, at, msgspec.Raw(encode(body)))


def recorded(
    member_id: str, seq: int, kind: str = "purchase", day: float = 0, **fields: object
) -> Fact:
    """Activity ``seq`` of a member, ``day`` days after the start."""
    name = f"act_{member_id}_{seq}"
    if kind == "purchase":
        fields.setdefault("amount", 10_00)
    body = ActivityRecorded(name, member_id, "pos", name, kind, "store", **fields)  # type: ignore[arg-type]
    return fact(f"activity:{member_id}", seq, name, START + round(day * DAY), body)


def given_back(member_id: str, seq: int, bought: Fact, day: float, amount: int = 10_00) -> Fact:
    """A return in full of an earlier purchase."""
    body = ReturnedPurchase(bought.key, bought.seq, bought.occurred_at, amount, True, ())
    return recorded(member_id, seq, "return", day, returned=body)


def enrolled(member_id: str, day: float = 0, region: str | None = "north") -> Fact:
    body = MemberEnrolled(member_id, "store", ("name",), region)
    return fact(f"member:{member_id}", 1, "enrolled", START + round(day * DAY), body)


def moved(member_id: str, seq: int, region: str | None) -> Fact:
    filled, cleared = (("region",), ()) if region else ((), ("region",))
    body = MemberFileChanged(member_id, filled, cleared, region)
    return fact(f"member:{member_id}", seq, f"changed:{seq}", START, body)


def history(member_id: str, seed: int, length: int) -> list[Fact]:
    """A life of purchases, contacts and returns, mostly in order."""
    chance = random.Random(f"{member_id}/{seed}")
    facts: list[Fact] = []
    day = 0.0
    for seq in range(1, length + 1):
        day += chance.expovariate(1 / 9)
        when = day - 30 if chance.random() < 0.1 else day
        kind = chance.choice(("purchase", "purchase", "purchase", "visit", "share", "review"))
        bought = [f for f in facts if b'"purchase"' in bytes(f.body)]
        if bought and chance.random() < 0.1:
            body = ReturnedPurchase(
                bought[-1].key, bought[-1].seq, bought[-1].occurred_at, 10_00, False, ()
            )
            facts.append(recorded(member_id, seq, "return", when, returned=body))
        elif kind == "review":
            facts.append(recorded(member_id, seq, kind, when, rating=chance.randint(1, 5)))
        elif kind == "purchase":
            facts.append(recorded(member_id, seq, kind, when, amount=chance.randint(20_00, 200_00)))
        else:
            facts.append(recorded(member_id, seq, kind, when))
    return facts


async def joined(wiring: Wiring, *member_ids: str) -> list[Fact]:
    """Enrol members through the API's command; return the facts it made."""
    await enrol(wiring, [Enrol(each, "store", START, {"name": "Ana"}) for each in member_ids])
    return [fact async for facts in wiring.files.scan() for fact in facts]


async def publish(bus: Bus, facts: Iterable[Fact]) -> None:
    """Put facts on the topics they belong to."""
    topics = {"activity": ACTIVITIES.name, "member": MEMBER_FACTS.name}
    await bus.publish([message_of(f, topics[f.stream.partition(":")[0]]) for f in facts])


async def record(journal: Journal, facts: Sequence[Fact]) -> None:
    """Append facts to a journal, as their service would have done."""
    ordered = sorted(facts, key=lambda f: (f.stream, f.seq))
    outcomes = await journal.append(
        [
            Draft(
                f.stream,
                f.seq,
                f.key,
                blake2b(f.body, digest_size=16).digest(),
                f.type,
                f.occurred_at,
                f.posted_at,
                bytes(f.body),
            )
            for f in ordered
        ]
    )
    assert {outcome.outcome for outcome in outcomes} == {"appended"}


async def kept(wiring: Wiring) -> dict[str, Kept]:
    """Every relationship in the view."""
    documents = await wiring.views.find(RELATIONSHIPS, Query(limit=10_000))
    return {document.id: decode_kept(document) for document in documents}


async def states(wiring: Wiring) -> dict[str, tuple[Relationship, int]]:
    """Every relationship and how many facts it made: what must not depend on the way there."""
    return {member_id: (each.state, each.facts) for member_id, each in (await kept(wiring)).items()}


async def on_record(journal: Journal) -> list[tuple[str, str, int, bytes]]:
    """The journal's facts without the time at which they were written."""
    return [
        (f.id, f.key, f.occurred_at, bytes(f.body)) async for facts in journal.scan() for f in facts
    ]


async def cards(bus: Bus) -> list[tuple[int, MemberCard]]:
    """All cards published so far, with their versions, in order."""
    reader = bus.subscribe([CARDS.name], "reader-of-cards")
    found: list[tuple[int, MemberCard]] = []
    while messages := await reader.poll(1000, 0.05):
        for message in messages:
            said = decode_fact(message.value)
            found.append((said.seq, msgspec.json.decode(said.body, type=MemberCard)))
    await reader.close()
    return found


@dataclass
class Notebook:
    """A publisher that remembers; ``refuse`` makes the next publications fail."""

    messages: list[Message] = field(default_factory=list)
    refuse: list[Exception] = field(default_factory=list)

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.refuse:
            raise self.refuse.pop()
        self.messages += messages

    @property
    def cards(self) -> list[MemberCard]:
        return [
            msgspec.json.decode(decode_fact(message.value).body, type=MemberCard)
            for message in self.messages
        ]
