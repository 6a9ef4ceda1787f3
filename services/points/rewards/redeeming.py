"""Redeeming: points are held, stock is taken, then both are made final; each step once.

Every step is a fact under a key that follows from the request, so the same request after a crash
at any step goes on where it stopped. The account decides: a redemption is confirmed when, and only
when, its hold is captured. What the stock does follows from that, here behind the answer, and for
whoever died in between in ``duties.py``; what is given, again in ``following.py``. What is
confirmed at once takes the stock first (``at_once.py``), a reservation holds the points first.
"""

from dataclasses import dataclass, replace

from contracts.catalogue import RewardDefined, RewardPrice
from kit.clock import SECOND
from kit.errors import ServiceError
from kit.http.idempotency import derived_id
from kit.streams import key_conflict
from services.points.cards import card
from services.points.commands import digest
from services.points.domain.account import Account, Redeemed
from services.points.domain.catalogue import Candidate, Reason, Reward, reasons
from services.points.domain.errors import AlreadyEnded, StepUpNeeded
from services.points.domain.holding import (
    PlaceHold,
    RewardLimits,
    allows,
    hold_key,
    require_cooled,
)
from services.points.domain.redemptions import SOLD_OUT, Redemption, receiver_of
from services.points.domain.stock import SoldOut, TakeClosed
from services.points.rewards import queries
from services.points.rewards.at_once import at_once, place
from services.points.rewards.redemptions import Redemptions, find, require
from services.points.rewards.settling import (
    SYSTEM,
    capture,
    delivered,
    give_back,
    hand_over,
    release,
    shelf_for,
    undo,
)
from services.points.rewards.stock import Shelf

MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``clerk``: for the brand, at a till. ``stepped_up``: proven by a second factor."""

    by: str
    clerk: bool = False
    stepped_up: bool = False


@dataclass(frozen=True, slots=True)
class Redeem:
    """A member wants ``quantity`` of a reward; ``key`` is the request's.

    ``member_id``: whose account pays. A pool's is ``@{pool_id}``; then a member of it calls.
    """

    member_id: str
    reward_id: str
    key: str
    caller: Caller
    quantity: int = 1
    wallet: str | None = None
    confirm: bool = True
    device_id: str | None = None

    @property
    def pool(self) -> bool:
        """Whether a household pool pays."""
        return self.member_id.startswith("@")

    @property
    def receiver(self) -> str:
        """Whom it is for."""
        return receiver_of(self.member_id, self.caller.by)

    @property
    def redemption_id(self) -> str:
        """The id of the redemption that it makes. Members of a pool do not share their keys."""
        if self.pool:
            return derived_id("rdm", self.member_id, self.caller.by, self.key)
        return redemption_id_of(self.member_id, self.key)


def redemption_id_of(member_id: str, key: str) -> str:
    """The id of the redemption that a member's request makes."""
    return derived_id("rdm", member_id, key)


async def redeem(redemptions: Redemptions, wanted: Redeem) -> tuple[Redemption, bool]:
    """Redeem; the redemption as it is now, and whether this request made it.

    Raises ServiceError: ``refused`` with everything that is in the way, SoldOut,
    InsufficientPoints, LimitReached, CoolingOff, StepUpNeeded, VelocityExceeded; ``conflict`` for
    another content under the same key.
    """
    redemption_id = wanted.redemption_id
    # A request that comes to nothing must not count on a device: with one, look first.
    known = await _known(redemptions, redemption_id, wanted) if wanted.device_id else None
    is_new = known is None
    if known is None:
        try:
            known, is_new = await _begin(redemptions, redemption_id, wanted)
        except ServiceError:  # a retry is not refused for what is in the way by now
            known, is_new = await _known(redemptions, redemption_id, wanted), False
            if known is None:
                raise
    if is_new:
        redemptions.notes.add((redemptions, (redemption_id, known.member_id, known.reserved_at)))
    return await _go_on(redemptions, known, wanted), is_new


async def _known(redemptions: Redemptions, redemption_id: str, wanted: Redeem) -> Redemption | None:
    """What an earlier request under this key made; raises ``conflict`` when it asked otherwise."""
    known = await find(redemptions, wanted.member_id, redemption_id)
    if known is not None and not _is_same(known, wanted):
        raise key_conflict(None)
    return known


def _is_same(known: Redemption, wanted: Redeem) -> bool:
    same = (known.reward_id, known.quantity) == (wanted.reward_id, wanted.quantity)
    return same and wanted.wallet in (None, known.wallet)


async def _begin(
    redemptions: Redemptions, redemption_id: str, wanted: Redeem
) -> tuple[Redemption, bool]:
    """Check, count the device, hold the points; whether that was not done before.

    At once with all that makes it final, if the account as it was lately would allow it. If not, it
    is asked first: nothing is taken for somebody who is about to be refused.
    """
    rewards, now = redemptions.rewards, redemptions.clock()
    reward = await queries.reward_lately(rewards, wanted.reward_id)
    assert reward.defined is not None
    price = _price(reward.defined, wanted.wallet)
    points = price.points * wanted.quantity
    account = await _require_eligible(redemptions, reward, wanted, price, now)
    if wanted.confirm:
        _require_proof(redemptions, points, price.money, wanted.caller)
    if wanted.device_id is not None:
        await rewards.meters.count("device", wanted.device_id, redemption_id, points)
    hold = _hold(redemptions, reward.defined, redemption_id, wanted, price, now)
    asked = digest(wanted.reward_id, wanted.quantity, price.wallet)
    if hold.capture and allows(account, hold):
        shelf = Shelf(wanted.reward_id, reward.defined.slices)
        return await at_once(redemptions, shelf, hold, asked)
    return await place(redemptions, replace(hold, capture=False), asked)


def _price(defined: RewardDefined, wallet: str | None) -> RewardPrice:
    for price in defined.prices:
        if wallet in (None, price.wallet):
            return price
    known = [price.wallet for price in defined.prices]
    raise ServiceError(
        "invalid",
        "no_such_price",
        f"It is not sold for {wallet} points; use one of {', '.join(known)}",
        errors=[
            {
                "field": "wallet",
                "message": "has no price here",
                "fix": f"Use one of {', '.join(known)}.",
            }
        ],
    )


async def _require_eligible(
    redemptions: Redemptions, reward: Reward, wanted: Redeem, price: RewardPrice, now: int
) -> Account:
    """Raise ``refused`` with all reasons at once. Points and limits are decided by the account.

    So an account as it was lately will do for letting somebody pass, but not for refusing. Returns
    the account that was looked at.
    """
    rewards, defined, member_id = redemptions.rewards, reward.defined, wanted.member_id
    assert defined is not None
    if wanted.pool:  # whose account was taken over must not reach the household's points either
        receiver = await rewards.account_of(wanted.receiver, now)
        require_cooled(receiver, now, redemptions.rules.cooling)
    needed = defined.eligibility or defined.early_access
    known = await card(rewards.views, wanted.receiver) if needed else None

    def why_not(account: Account) -> list[Reason]:
        candidate = Candidate(
            tier=queries.Member(known, account).tier(now),
            spendable={price.wallet: account.balances.get(price.wallet, 0)},
            redeemed=account.redeemed.get(defined.reward_id, Redeemed()),
            failed=queries.failed(defined.eligibility, known, now),
            pool=wanted.pool,
        )
        return reasons(reward, candidate, now, wanted.quantity)

    account = (await redemptions.ledger.heads([member_id]))[member_id].state
    if not why_not(account):
        return account
    account = await rewards.account_of(member_id, now)
    if why := why_not(account):
        raise ServiceError(
            "refused",
            why[0].code,
            " ".join(each.words["en"] for each in why),
            why_not=[
                {"code": each.code, "words": dict(each.words), "facts": dict(each.facts)}
                for each in why
            ],
        )
    return account


def _require_proof(redemptions: Redemptions, points: int, money: int, caller: Caller) -> None:
    """What a member alone may not make final: what costs money, and much without fresh proof."""
    if caller.clerk:
        return
    if money:
        raise ServiceError(
            "refused",
            "payment_needed",
            "Part of the price is money: reserve it (`confirm: false`), then whoever takes the "
            "money confirms it",
            money=money,
        )
    limit = redemptions.rules.step_up_above
    if limit is not None and points > limit and not caller.stepped_up:
        raise StepUpNeeded(f"{points} points are more than {limit}", points=points, limit=limit)


def _hold(
    redemptions: Redemptions,
    defined: RewardDefined,
    redemption_id: str,
    wanted: Redeem,
    price: RewardPrice,
    now: int,
) -> PlaceHold:
    period = defined.period_limit
    return PlaceHold(
        owner=wanted.member_id,
        key=hold_key(redemption_id),
        hold_id=redemption_id,
        wallet=price.wallet,
        points=price.points * wanted.quantity,
        at=now,
        until=now + defined.hold_minutes * MINUTE,
        purpose="redemption",
        by=wanted.caller.by,
        reward_id=defined.reward_id,
        quantity=wanted.quantity,
        money=price.money * wanted.quantity,
        limits=RewardLimits(
            defined.member_limit, period.count if period else None, period.days if period else 0
        ),
        velocity=redemptions.rules.per_member,
        cooling=redemptions.rules.cooling,
        capture=wanted.confirm,
    )


async def _go_on(redemptions: Redemptions, known: Redemption, wanted: Redeem) -> Redemption:
    """Take the next steps of a redemption from wherever it stands."""
    if known.status == "cancelled" and known.reason == SOLD_OUT:
        raise ServiceError(
            "refused", SOLD_OUT, "It was sold out when you asked; ask again with a new key"
        )
    if known.status == "reserved" and wanted.confirm:
        return await _confirmed(redemptions, known, wanted.caller)
    if known.status == "reserved":
        return await _with_stock(redemptions, known)
    return await delivered(redemptions, known)


async def _with_stock(redemptions: Redemptions, known: Redemption) -> Redemption:
    """Take the stock of a reservation; when there is none, let the points go."""
    shelf = await shelf_for(redemptions, known.reward_id)
    if shelf is None:
        return known
    try:
        await redemptions.rewards.shop.take(
            shelf,
            known.redemption_id,
            known.member_id,
            known.reserved_until,
            known.quantity,
        )
    except SoldOut:
        await release(redemptions, known, SYSTEM, SOLD_OUT)
        raise
    except TakeClosed:  # it ran out while we were on our way, and the stock has gone back
        return await require(redemptions, known.member_id, known.redemption_id)
    return known


async def confirm(
    redemptions: Redemptions, member_id: str, redemption_id: str, caller: Caller
) -> Redemption:
    """Make a reservation final; again changes nothing. Raises AlreadyEnded when it has ended."""
    known = await require(redemptions, member_id, redemption_id)
    return await _confirmed(redemptions, known, caller)


async def _confirmed(redemptions: Redemptions, known: Redemption, caller: Caller) -> Redemption:
    """Stock, then points."""
    if known.status == "reserved":
        _require_proof(redemptions, known.points, known.money, caller)
        known = await _with_stock(redemptions, known)
    if known.status == "reserved":
        known = await capture(redemptions, known, caller.by)
    if known.status not in ("confirmed", "fulfilled"):
        raise AlreadyEnded("redemption", known.redemption_id, known.status)
    return await delivered(redemptions, known)


async def fulfil(
    redemptions: Redemptions, member_id: str, redemption_id: str, by: str
) -> Redemption:
    """It was handed over; again changes nothing. Raises AlreadyEnded, or ``refused`` too early."""
    known = await require(redemptions, member_id, redemption_id)
    if known.status == "reserved":
        raise ServiceError(
            "refused", "not_confirmed", "It is only reserved; confirm it first", status=known.status
        )
    if known.status == "confirmed":
        await hand_over(redemptions, known, by)
        known = await require(redemptions, member_id, redemption_id)
    if known.status != "fulfilled":
        raise AlreadyEnded("redemption", redemption_id, known.status)
    return known


async def cancel(
    redemptions: Redemptions, member_id: str, redemption_id: str, caller: Caller, reason: str
) -> Redemption:
    """Undo a redemption that is not fulfilled: points and stock go back. Again changes nothing."""
    known = await require(redemptions, member_id, redemption_id)
    if known.status == "reserved":
        await release(redemptions, known, caller.by, reason)
        known = await require(redemptions, member_id, redemption_id)
    if known.status == "confirmed":
        if not caller.clerk:
            raise ServiceError(
                "forbidden", "ask_the_desk", "It is confirmed: ask the brand to cancel it"
            )
        await undo(redemptions, known, caller.by, reason)
        known = await require(redemptions, member_id, redemption_id)
    if known.status == "fulfilled":
        raise AlreadyEnded("redemption", redemption_id, known.status)
    await give_back(redemptions, known.reward_id, member_id, redemption_id)
    return known
