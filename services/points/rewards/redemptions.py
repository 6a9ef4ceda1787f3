"""What redemptions work with: the catalogue, the ledger, and a list of each member's redemptions.

What became of a redemption is told by its member's account alone. The list only says which there
are; it is written by whoever follows the entries, and where that takes long, behind the answer.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from contracts.envelope import Fact
from kit.clock import Clock
from kit.views.port import Collection, Document, Query
from services.points.commands import body_of
from services.points.domain.errors import NotKnown
from services.points.domain.redemptions import Redemption, keys_of, told
from services.points.policy import Rules
from services.points.rewards.behind import Behind
from services.points.rewards.wiring import Rewards
from services.points.views import Ledger

REDEMPTIONS = Collection(
    "redemptions", fields={"member_id": str, "rank": int}, indexes=(("member_id", "rank"),)
)
"""By redemption: whose it is. ``rank`` falls with time, so that the newest come first."""
BEHIND_SECONDS = 1.0
"""By then whoever follows the entries has put a redemption into the list, as a rule."""
Began = tuple[str, str, int]
"""A redemption that began: its id, its member, the time of its hold."""


class IssueVoucher(Protocol):
    """Issues a voucher of a series to a member; the same key again is the same voucher."""

    def __call__(self, series_id: str, member_id: str, key: str) -> Awaitable[object]:
        """Raises ServiceError ``refused`` when there are none."""


@dataclass(frozen=True)
class Redemptions:
    """``issue_voucher`` is absent where no vouchers are given.

    ``notes`` are put into the list, unless they are there, behind the answers.
    """

    rewards: Rewards
    ledger: Ledger
    rules: Rules
    clock: Clock
    issue_voucher: IssueVoucher | None = None
    notes: "Behind[Noted]" = field(default_factory=lambda: noting())

    async def prepare(self) -> None:
        """Create the list; harmless when it is there."""
        await self.rewards.views.prepare([REDEMPTIONS])


Noted = tuple[Redemptions, Began]


def noting(seconds: float = BEHIND_SECONDS) -> Behind[Noted]:
    """What puts redemptions into the list, unless they are there, behind the answers."""
    return Behind(_note_all, seconds)


def as_of(redemptions: Redemptions, at: int | None) -> Redemptions:
    """The same at another time, for what happened earlier and is told now; None: at its own."""
    if at is None:
        return redemptions

    def then() -> int:
        return at

    return replace(redemptions, rewards=replace(redemptions.rewards, clock=then), clock=then)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a member's redemptions, newest first, and where to go on."""

    items: list[Redemption]
    next: tuple[int, str] | None


async def find(redemptions: Redemptions, member_id: str, redemption_id: str) -> Redemption | None:
    """Return a redemption as the account tells it now; None when there is none."""
    return (await _told(redemptions, member_id, [redemption_id])).get(redemption_id)


async def require(redemptions: Redemptions, member_id: str, redemption_id: str) -> Redemption:
    """Return a redemption. Raises NotKnown."""
    found = await find(redemptions, member_id, redemption_id)
    if found is None:
        raise NotKnown("redemption", redemption_id)
    return found


async def page(
    redemptions: Redemptions, member_id: str, limit: int, after: tuple[int, str] | None
) -> Page:
    """Return a member's redemptions, newest first: two queries, however old the account is."""
    await redemptions.notes.idle()
    query = Query(equals={"member_id": member_id}, order_by="rank", after=after, limit=limit)
    found = await redemptions.rewards.views.find(REDEMPTIONS, query)
    ids = [document.id for document in found]
    told_now = await _told(redemptions, member_id, ids)
    more = len(found) == limit
    rest = (int(found[-1].index["rank"] or 0), found[-1].id) if more else None
    return Page([told_now[each] for each in ids if each in told_now], rest)


async def _told(
    redemptions: Redemptions, member_id: str, ids: Sequence[str]
) -> Mapping[str, Redemption]:
    if not ids:
        return {}
    ledger, now = redemptions.ledger, redemptions.clock()
    keys = [key for each in ids for key in keys_of(each)]
    facts = await ledger.journal.find(ledger.stream(member_id), keys)
    bodies = {key: (fact.occurred_at, body_of(fact)) for key, fact in facts.items()}
    found = ((each, told(each, bodies, now)) for each in ids)
    return {each: redemption for each, redemption in found if redemption is not None}


async def note_missing(redemptions: Redemptions, began: Sequence[Began]) -> None:
    """Put redemptions into the list, most of which are there."""
    views, ids = redemptions.rewards.views, list({each[0] for each in began})
    there = await views.load(REDEMPTIONS, ids) if ids else {}
    await note(redemptions, [each for each in began if each[0] not in there])


async def note(redemptions: Redemptions, began: Sequence[Began]) -> None:
    """Put redemptions into the list; those that are there stay as they are."""
    documents = [
        Document(redemption_id, 0, b"{}", {"member_id": member_id, "rank": -at})
        for redemption_id, member_id, at in dict.fromkeys(began)
    ]
    if documents:
        await redemptions.rewards.views.save(REDEMPTIONS, documents)


async def _note_all(asked: Sequence[Noted]) -> None:
    await note_missing(asked[0][0], [began for _, began in asked])


class _Hold(msgspec.Struct, frozen=True):
    hold_id: str
    reward_id: str | None = None
    quantity: int = 1


class _Entry(msgspec.Struct, frozen=True):
    kind: str
    hold: _Hold | None = None


_entry = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True, slots=True)
class Moved:
    """A redemption that an entry began (``hold``), confirmed, or ended."""

    kind: str
    member_id: str
    redemption_id: str
    reward_id: str
    at: int
    quantity: int = 1


def moved(fact: Fact) -> Moved | None:
    """What an entry did to a redemption; None when it did nothing to any."""
    if fact.type != "PointsPosted":
        return None
    entry = _entry.decode(fact.body)
    if entry.hold is None or entry.hold.reward_id is None:
        return None
    hold, reward_id = entry.hold, entry.hold.reward_id
    return Moved(entry.kind, fact.owner, hold.hold_id, reward_id, fact.occurred_at, hold.quantity)


async def rebuild(redemptions: Redemptions) -> int:
    """Make the list again from the ledger; return how many redemptions there are."""
    await redemptions.rewards.views.drop(REDEMPTIONS)
    count = 0
    async for facts in redemptions.ledger.journal.scan():
        found = [each for fact in facts if (each := moved(fact)) is not None]
        began = [(m.redemption_id, m.member_id, m.at) for m in found if m.kind == "hold"]
        await note(redemptions, began)
        count += len(began)
    return count
