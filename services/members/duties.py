"""Daily duties: what time alone brings, for a business day of the programme's time zone.

A duty may run any number of times, late, or not at all: the next activity of the member brings the
same facts. What it adds is that they are known without waiting for it.
"""

from datetime import date

from kit.bus.port import Message
from kit.views.port import Document, Query
from services.members.domain.relationship import advance
from services.members.keeping import Held, Keeper, Publisher
from services.members.owing import missing, pay
from services.members.views import (
    RELATIONSHIPS,
    UNFINISHED,
    Kept,
    card_message,
    decode_kept,
    drafts,
    owed,
    relationship_stream,
)

PAGE = 500


async def tick(keeper: Keeper, publisher: Publisher, day: date) -> int:
    """Realise all lapses and tier drops due by the end of ``day``; return how many members moved.

    Finds them by the index on the due time. A run that was cut off is completed by the next.
    """
    end = keeper.rules.calendar.start(day.toordinal() + 1)
    query = Query(order_by="due", lower=UNFINISHED, upper=end, limit=PAGE)
    moved = 0
    while documents := await keeper.views.find(RELATIONSHIPS, query):
        moved += await _page(keeper, publisher, documents, end - 1)
    return moved


async def _page(keeper: Keeper, publisher: Publisher, documents: list[Document], to: int) -> int:
    """Move a page of members; one whom somebody else moved meanwhile turns up again if need be."""
    found = {d.id: Held(d.version, decode_kept(d), fresh=True) for d in documents}
    debts = [
        draft
        for member_id, held in found.items()
        for draft in drafts(relationship_stream(member_id), held.kept.owed)
    ]
    await pay(keeper.journal, await missing(keeper.journal, debts))
    now = keeper.clock()
    moved = {m: Held(h.version, _advanced(keeper, m, h.kept, to, now)) for m, h in found.items()}
    saved = await keeper.save(moved, unfinished=True)
    cards = [card_message(member_id, held.kept, now) for member_id, held in saved.items()]
    await publisher.publish([card for card in cards if isinstance(card, Message)])
    await keeper.save(saved)
    return len(saved)


def _advanced(keeper: Keeper, member_id: str, kept: Kept, to: int, now: int) -> Kept:
    step = advance(kept.state, member_id, to, keeper.rules)
    new = [
        owed(kept.facts + place, now, transition)
        for place, transition in enumerate(step.transitions, 1)
    ]
    return Kept(step.state, kept.facts + len(new), tuple(new))
