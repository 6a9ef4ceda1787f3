"""Drop the relationships and fold them again from the journals, with the worker's own handler.

Member files are records, not views: they stay. Changes on record that time had brought (by a daily
duty, say) are met again where they stood among the activities, so that what follows from them
follows again; the facts made on the way are found in the journal, where they are.
"""

from collections.abc import Iterable

from contracts.envelope import Fact
from kit.journal.port import Journal
from services.members.absorbing import Absorber, Input, Realised, change_of, input_of
from services.members.keeping import Keeper
from services.members.views import RELATIONSHIPS, relationship_stream
from services.members.wiring import Wiring


async def rebuild(wiring: Wiring, activities: Journal) -> int:
    """Rebuild every relationship from the activity journal and the own ones; return how many.

    Stop the service's worker first. No card is published: the cards said before are still right.
    """
    await wiring.views.drop(RELATIONSHIPS)
    wiring.keeper.forget()
    await replay(wiring, wiring.keeper, activities)
    return (await wiring.views.count(RELATIONSHIPS)).get("", 0)


async def replay(wiring: Wiring, keeper: Keeper, activities: Journal) -> None:
    """Fold the journals into the relationships that ``keeper`` keeps."""
    absorber = Absorber(keeper, None)
    async for facts in wiring.files.scan():
        await absorber.take_in(facts)
    async for facts in activities.scan():
        inputs = _by_member(facts)
        await _interleave(wiring.relationships, inputs)
        await absorber.absorb(inputs)


def _by_member(facts: Iterable[Fact]) -> dict[str, list[Input]]:
    inputs: dict[str, list[Input]] = {}
    for fact in facts:
        if (read := input_of(fact)) is not None:
            inputs.setdefault(fact.owner, []).append(read)
    return inputs


async def _interleave(journal: Journal, inputs: dict[str, list[Input]]) -> None:
    """Put the changes on record between the activities, each after the one it came after."""
    streams = {relationship_stream(member_id): member_id for member_id in inputs}
    for stream, facts in (await journal.read_many(dict.fromkeys(streams, 0))).items():
        own = inputs[streams[stream]]
        first, last = own[0][0].seq - 1, own[-1][0].seq
        for fact in facts:
            after = change_of(fact)[1].after_seq
            if first <= after <= last:
                own.append((fact, Realised(after)))
        own.sort(key=_place)


def _place(item: Input) -> tuple[int, int]:
    """Activities by seq; a change on record right after the activity it came after."""
    fact, body = item
    if isinstance(body, Realised):
        return body.after_seq, fact.seq
    return fact.seq, 0
