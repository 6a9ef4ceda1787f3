"""Use cases of transfers: send, accept, decline, withdraw.

The receiver's stream decides what becomes of a transfer; the sender's follows when the service
reads its own entries (``following.py``), whatever dies in between.
"""

from dataclasses import replace

from contracts.points import AccountMarked, PointsPosted, TransferTerms
from kit.errors import ServiceError
from services.points.asking import Asked, request_key, wallet_of
from services.points.commands import Outcome, body_of, carry_out, digest
from services.points.commands_remarks import Told, with_remark
from services.points.domain.errors import AlreadyEnded, LimitReached, NotKnown
from services.points.domain.moving import Decline, Receive, Send, transfer_key
from services.points.listing import how_ended
from services.points.policy import Rules
from services.points.remarks import said
from services.points.safeguards import move_out, require_step_up
from services.points.schemas_transfers import TransferBody
from services.points.wiring import Wiring

WITHDRAWN = "withdrawn"


async def send(wiring: Wiring, asked: Asked, wanted: TransferBody) -> Told:
    """Offer points to another member. Raises ServiceError that says what is in the way."""
    rules = wiring.rules
    wallet = wallet_of(rules, wanted.wallet)
    require_allowed(rules, wanted.points)
    require_step_up(rules, asked, wanted.points)
    command = Send(
        asked.owner,
        asked.key,
        asked.id,
        wanted.to,
        wallet,
        wanted.points,
        asked.at,
        asked.at + rules.accept_within,
        asked.by,
        velocity=rules.per_member,
        cooling=rules.cooling,
    )
    content = ("transfer", wanted.to, wallet, wanted.points)
    return await send_noted(wiring, asked, command, asked.owner, wanted.note, content)


async def send_noted(
    wiring: Wiring,
    asked: Asked,
    command: Send,
    member_id: str,
    note: str | None,
    content: tuple[object, ...],
) -> Told:
    """Send points with what ``member_id`` writes to the receiver. ``content`` is what is asked."""

    async def carry(remark: str | None, content: bytes) -> Outcome:
        noted, policy = replace(command, remark=remark), wiring.rules.policy
        points, payee = command.points, command.to
        return await move_out(
            wiring.ledger, wiring.meters, policy, asked, noted, content, points, payee
        )

    written = said(note, asked.by, member_id, command.to)
    return await with_remark(wiring, asked, written, content, carry)


def require_allowed(rules: Rules, points: int) -> None:
    """Raise ServiceError when the programme has no transfers, or none of that size."""
    allowed = rules.transfers
    if not allowed.allowed:
        message = "This programme has no transfers between members"
        raise ServiceError("refused", "transfers_not_allowed", message)
    if points < allowed.minimum:
        least = f"A transfer is of at least {allowed.minimum} points"
        raise LimitReached("transfer_minimum", least, minimum=allowed.minimum, asked=points)
    if points > allowed.maximum:
        most = f"A transfer is of at most {allowed.maximum} points"
        raise LimitReached("transfer_maximum", most, maximum=allowed.maximum, asked=points)


async def accept(
    wiring: Wiring, receiver: str, transfer_id: str, sender: str, at: int, by: str
) -> Outcome:
    """Take in an offer. Accepting again is the first answer. Raises AlreadyEnded, NotKnown."""
    terms = await _offered(wiring, sender, transfer_id, to=receiver)
    command = Receive(receiver, sender, terms, at, by)
    outcome = await _decided(wiring, command, transfer_id, digest("accept", transfer_id))
    if isinstance(outcome.body, AccountMarked):
        raise AlreadyEnded("transfer", transfer_id, how_ended(outcome.body))
    return outcome


async def decline(
    wiring: Wiring, receiver: str, transfer_id: str, sender: str, at: int, by: str
) -> Outcome:
    """Refuse an offer: its points go back. Raises AlreadyEnded, NotKnown."""
    await _offered(wiring, sender, transfer_id, to=receiver)
    command = Decline(receiver, sender, transfer_id, at, by, "declined")
    return await _decided(wiring, command, transfer_id, digest("decline", transfer_id))


async def withdraw(wiring: Wiring, sender: str, transfer_id: str, at: int, by: str) -> Outcome:
    """Take an offer back that was not accepted yet. Raises AlreadyEnded, NotKnown."""
    terms = await _offered(wiring, sender, transfer_id)
    command = Decline(terms.other, sender, transfer_id, at, by, WITHDRAWN)
    return await _decided(wiring, command, transfer_id, digest("withdraw", transfer_id))


async def _decided(
    wiring: Wiring, command: Receive | Decline, transfer_id: str, content: bytes
) -> Outcome:
    key, policy = transfer_key(transfer_id), wiring.rules.policy
    try:
        return await carry_out(wiring.ledger, policy, command, key, content, "transfer")
    except AlreadyEnded:
        stream = wiring.ledger.stream(command.owner)
        fact = (await wiring.entries.find(stream, [key]))[key]
        raise AlreadyEnded("transfer", transfer_id, how_ended(body_of(fact))) from None


async def sent(wiring: Wiring, sender: str, transfer_id: str) -> Outcome | None:
    """The sender's entry of a transfer; None when there is none."""
    key = request_key(transfer_id)
    fact = (await wiring.entries.find(wiring.ledger.stream(sender), [key])).get(key)
    body = body_of(fact) if fact is not None else None
    if fact is None or not isinstance(body, PointsPosted) or body.transfer is None:
        return None
    return Outcome(fact, body, repeated=True) if body.kind == "transfer_out" else None


async def _offered(
    wiring: Wiring, sender: str, transfer_id: str, to: str | None = None
) -> TransferTerms:
    """What the sender's entry says. Raises NotKnown, too when it is for somebody else."""
    found = await sent(wiring, sender, transfer_id)
    terms = found.body.transfer if found and isinstance(found.body, PointsPosted) else None
    if terms is None or terms.transfer_id != transfer_id or to not in (None, terms.other):
        raise NotKnown("transfer", transfer_id)
    return terms
