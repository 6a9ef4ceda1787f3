"""A command with a remark: first the text, then the fact that bears its id, whatever dies between.

The digest that is kept beside a fact covers that there is a text, not which: a digest of a short
text tells it to whoever tries all there are. So a retry is compared with the text itself.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contracts.points import PointsPosted
from kit.errors import ServiceError
from kit.streams import key_conflict
from services.points.asking import Asked
from services.points.commands import Outcome, body_of, digest
from services.points.remarks import Noted, Said
from services.points.wiring import Wiring

SOME = True
UNTOLD = frozenset(("unavailable", "timeout", "broken"))
"""Kinds of errors after which the fact may be in the journal all the same."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a command did, and the text beside it."""

    outcome: Outcome
    note: str | None = None


Carry = Callable[[str | None, bytes], Awaitable[Outcome]]
"""Carries a command out, with the id of its remark and the digest of what is asked for."""


async def with_remark(
    wiring: Wiring, asked: Asked, said: Said | None, content: tuple[object, ...], carry: Carry
) -> Told:
    """Carry out a command, and keep its text. A retry gets the first text, and leaves no other.

    ``content`` is what else is asked for. Raises what ``carry`` does, and a conflict when the key
    was used with another text; which that was is no longer known once it was erased.
    """
    if said is None:
        return Told(await carry(None, digest(*content, None)))
    id_ = await wiring.remarks.write(said)
    try:
        outcome = await carry(id_, digest(*content, SOME))
    except ServiceError as error:
        if error.kind not in UNTOLD and error.code != "contended":
            await wiring.remarks.discard(id_)
        if error.code != "idempotency_key_reused" or not await _has_note(wiring, asked):
            raise
        outcome = await carry(None, digest(*content, said.text))
    first = _noted(outcome.body)
    if first is not None and first.remark == id_:
        return Told(outcome, said.text)
    await wiring.remarks.discard(id_)
    note = await wiring.remarks.note(first) if first is not None else None
    if note not in (None, said.text):
        raise key_conflict(outcome.fact)
    return Told(outcome, note)


async def _has_note(wiring: Wiring, asked: Asked) -> bool:
    """Whether the request was answered before there were remarks: its digest has the text in it."""
    found = await wiring.entries.find(wiring.ledger.stream(asked.owner), [asked.key])
    first = _noted(body_of(found[asked.key])) if found else None
    return first is not None and first.note is not None


def _noted(body: object) -> Noted | None:
    """What has the remark, of an entry or a mark."""
    transfer = body.transfer if isinstance(body, PointsPosted) else None
    return transfer or getattr(body, "adjustment", None)
