"""Use cases of holds: set points aside, then take them or give them back, once."""

from contracts.points import PointsPosted
from kit.clock import SECOND
from kit.errors import ServiceError
from kit.streams import Command as StreamCommand
from services.points.asking import Asked, wallet_of
from services.points.commands import Outcome, body_of, carry_out, deciding, digest
from services.points.domain.advancing import Advance, end_of_hold
from services.points.domain.deciding import Command
from services.points.domain.errors import AlreadyEnded, NotKnown
from services.points.domain.holding import Capture, PlaceHold, Release
from services.points.safeguards import move_out, require_step_up
from services.points.schemas_holds import HoldBody
from services.points.wiring import Wiring

MINUTE = 60 * SECOND


async def place(wiring: Wiring, asked: Asked, wanted: HoldBody) -> Outcome:
    """Set points aside. Raises ServiceError that says what is in the way."""
    rules = wiring.rules
    wallet = wallet_of(rules, wanted.wallet)
    require_step_up(rules, asked, wanted.points)
    command = PlaceHold(
        asked.owner,
        asked.key,
        asked.id,
        wallet,
        wanted.points,
        asked.at,
        asked.at + (wanted.minutes * MINUTE if wanted.minutes else rules.hold),
        wanted.purpose,
        asked.by,
        velocity=rules.per_member,
        cooling=rules.cooling,
    )
    content = digest("hold", wallet, wanted.points, wanted.purpose, wanted.minutes)
    return await move_out(
        wiring.ledger, wiring.meters, rules.policy, asked, command, content, wanted.points
    )


async def capture(
    wiring: Wiring, owner: str, hold_id: str, points: int | None, at: int, by: str
) -> Outcome:
    """Take what is held. The same amount again is the first answer. Raises AlreadyEnded."""
    command = Capture(owner, hold_id, at, by, points)
    try:
        return await _end(wiring, command, digest("capture", hold_id, points))
    except AlreadyEnded:
        ended = await _ended(wiring, owner, hold_id)
        if ended.body.kind == "capture" and _asks_the_same(ended.body, points):
            return ended
        raise _has_ended(hold_id, ended) from None


async def release(
    wiring: Wiring, owner: str, hold_id: str, reason: str | None, at: int, by: str
) -> Outcome:
    """Give back what is held. For the same reason again is the first answer."""
    command = Release(owner, hold_id, at, by, reason or "released")
    try:
        return await _end(wiring, command, digest("release", hold_id, reason))
    except AlreadyEnded:
        raise _has_ended(hold_id, await _ended(wiring, owner, hold_id)) from None


async def _end(wiring: Wiring, command: Capture | Release, content: bytes) -> Outcome:
    await _require_plain(wiring, command.owner, command.hold_id)
    policy, key = wiring.rules.policy, end_of_hold(command.hold_id)
    try:
        return await carry_out(wiring.ledger, policy, command, key, content, "hold")
    except NotKnown:
        # Its time may be over without anybody having written that down; then that is how it ended.
        advance: Command = Advance(command.owner, command.at)
        timing = StreamCommand(command.owner, f"advance:{command.at}", b"", advance)
        await wiring.ledger.execute([timing], deciding(policy))
        return await carry_out(wiring.ledger, policy, command, key, content, "hold")


async def _require_plain(wiring: Wiring, owner: str, hold_id: str) -> None:
    """A redemption's hold ends with the redemption, which has stock to account for as well."""
    head = (await wiring.ledger.heads([owner], fresh=True))[owner]
    hold = head.state.holds.get(hold_id)
    if hold is not None and hold.reward_id is not None:
        message = "This hold belongs to a redemption: confirm or cancel that one"
        raise ServiceError("refused", "hold_of_redemption", message, reward_id=hold.reward_id)


async def _ended(wiring: Wiring, owner: str, hold_id: str) -> Outcome:
    key = end_of_hold(hold_id)
    fact = (await wiring.entries.find(wiring.ledger.stream(owner), [key]))[key]
    return Outcome(fact, body_of(fact), repeated=True)


def _has_ended(hold_id: str, ended: Outcome) -> AlreadyEnded:
    return AlreadyEnded("hold", hold_id, how(ended.body))


def how(body: object) -> str:
    """How an entry left a hold: held, captured, released or timed_out."""
    assert isinstance(body, PointsPosted)
    if body.kind == "release":
        return "timed_out" if body.reason == "timed_out" else "released"
    return "captured" if body.kind == "capture" else "held"


def _asks_the_same(body: object, points: int | None) -> bool:
    assert isinstance(body, PointsPosted)
    moved = moved_by(body, "redemption")
    return moved == (-moved_by(body, "held") if points is None else points)


def moved_by(entry: PointsPosted, account: str) -> int:
    """What an entry booked on one of its accounts."""
    prefix = f"{account}/"
    return sum(posting.amount for posting in entry.postings if posting.account.startswith(prefix))
