"""A process that dies at any write of a redemption: sent again it happens once, and if nobody sends
it again it has happened whole or not at all."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contracts.catalogue import RewardPrice
from kit.clock import DAY, SECOND
from kit.store import Store, open_store
from programmes.ledger import Fraud, Velocity
from services.points.domain.errors import AlreadyEnded
from services.points.domain.redemptions import Redemption
from services.points.rewards.behind import Behind
from services.points.rewards.duties import sweep
from services.points.rewards.following import status_of
from services.points.rewards.redeeming import cancel, confirm, fulfil, redemption_id_of
from services.points.rewards.redemptions import Noted, Redemptions, find
from tests.services.points.rewards.crashing import Died, DyingStore, Fuse, without_last_words
from tests.services.points.rewards.redeeming import (
    CLERK,
    balance,
    entries,
    findings,
    followed,
    prepared,
    redeemed,
    redemptions_on,
    shop,
    stock,
    wish,
)
from tests.services.starting import TestClock

FRAUD = Fraud(per_device=(Velocity(hours=1, times=5),))
MOST_WRITES = 30
MINUTE = 60 * SECOND
RDM = redemption_id_of("M1", "k1")


@dataclass
class Place:
    """One store, opened by process after process."""

    path: Path
    clock: TestClock
    opened: list[Store]

    async def process(self, fuse: Fuse | None = None, one_by_one: bool = False) -> Redemptions:
        store: Store = open_store(f"sqlite:{self.path}", "points")
        self.opened.append(store)
        if fuse is not None:
            store = DyingStore(store, fuse, one_by_one)
        return redemptions_on(store, self.clock, fraud=FRAUD)


@pytest.fixture
async def places(tmp_path: Path, clock: TestClock) -> AsyncIterator[Callable[[str], Place]]:
    """Fresh places by name."""
    opened: list[Store] = []

    def fresh(name: str) -> Place:
        (tmp_path / name).mkdir()
        return Place(tmp_path / name, clock, opened)

    yield fresh
    for store in opened:
        await store.close()


async def whole(redemptions: Redemptions) -> Redemption:
    """All of it in one request; two, so that they come from several slices."""
    return await redeemed(redemptions, wish(quantity=2, device_id="phone-01"))


async def confirmed(redemptions: Redemptions) -> Redemption:
    return await confirm(redemptions, "M1", RDM, CLERK)


async def cancelled(redemptions: Redemptions) -> Redemption:
    return await cancel(redemptions, "M1", RDM, CLERK, "broken")


async def handed_over(redemptions: Redemptions) -> Redemption:
    return await fulfil(redemptions, "M1", RDM, "till")


async def nothing(redemptions: Redemptions) -> None:
    return None


async def reserve(redemptions: Redemptions) -> None:
    await redeemed(redemptions, wish(quantity=2, confirm=False))


async def reserve_and_confirm(redemptions: Redemptions) -> None:
    await reserve(redemptions)
    await confirmed(redemptions)


Before = Callable[[Redemptions], Awaitable[None]]
Act = Callable[[Redemptions], Awaitable[Redemption]]
KEPT, BACK = (8_400, (3, 0, 2)), (10_000, (5, 0, 0))
CASES: list[tuple[Before, Act, str, tuple[int, tuple[int, int, int]]]] = [
    (nothing, whole, "confirmed", KEPT),
    (reserve, confirmed, "confirmed", KEPT),
    (reserve, cancelled, "cancelled", BACK),
    (reserve_and_confirm, cancelled, "cancelled", BACK),
    (reserve_and_confirm, handed_over, "fulfilled", KEPT),
]
WRITES = pytest.mark.parametrize("one_by_one", [False, True], ids=["together", "one by one"])
"""What is appended to one stream lands together, or, on some databases, fact by fact."""
NAMES = ["redeem", "confirm", "cancel a reservation", "cancel", "fulfil"]


async def crashed(place: Place, before: Before, act: Act, fuse: Fuse, one_by_one: bool) -> bool:
    """Start a shop, die in the act; False when the act was over before the fuse had burnt."""
    without_last_words()
    first = await prepared(await place.process())
    await shop(first, 5, 10_000, prices=(RewardPrice("base", 800),))
    await before(first)
    await first.rewards.shop.idle()
    try:
        await act(await place.process(fuse, one_by_one))
    except Died:
        return True
    return False


async def state(redemptions: Redemptions) -> tuple[int, tuple[int, int, int]]:
    """The member's points, and the stock."""
    return await balance(redemptions), await stock(redemptions)


async def swept(redemptions: Redemptions) -> None:
    """A take whose process died before the index knew of it is found without the index."""
    rewards, now = redemptions.rewards, redemptions.clock()
    await sweep(rewards.shop, rewards.catalogue, status_of(redemptions), now)


@WRITES
@pytest.mark.parametrize(("before", "act", "status", "end"), CASES, ids=NAMES)
async def test_sent_again_after_a_crash_at_any_write_it_happens_once(
    places: Callable[[str], Place],
    before: Before,
    act: Act,
    status: str,
    end: tuple[int, tuple[int, int, int]],
    one_by_one: bool,
) -> None:
    for write in range(1, MOST_WRITES):
        place = places(f"{write}")
        died = await crashed(place, before, act, Fuse(write), one_by_one)
        second = await place.process()
        for _ in range(2):
            assert (await act(second)).status == status, write
        assert await state(second) == end, write
        await followed(second)
        assert await state(second) == end, write
        assert await findings(second) == [], write
        if not died:
            assert write > 1
            return
    raise AssertionError("it never ended")


async def nobody(asked: list[Noted]) -> None:
    """Leaves the list to whoever follows, so that the writes of the act can be counted."""


async def test_a_gift_whose_process_died_is_given_by_whoever_follows_the_ledger(
    places: Callable[[str], Place],
) -> None:
    statuses = []
    for write in range(1, 4):
        place = places(f"{write}")
        first = await prepared(await place.process())
        await shop(first, 0, 10_000, gives="donation", slices=0)
        with suppress(Died):
            dying = await place.process(Fuse(write))
            await redeemed(replace(dying, notes=Behind(nobody, 0.0)), wish())
        worker = await place.process()
        await followed(worker)
        found = await find(worker, "M1", RDM)
        statuses.append(found.status if found else None)
    assert statuses == [None, "fulfilled", "fulfilled"]


async def test_a_reservation_that_the_duty_finds_run_out_cannot_be_confirmed_by_a_slow_clock(
    places: Callable[[str], Place], clock: TestClock
) -> None:
    place = places("one")
    first = await prepared(await place.process())
    await shop(first, 5, 10_000)
    await reserve(first)
    clock.now += 15 * MINUTE
    assert await status_of(await place.process())("M1", RDM, "mug") == "gone"
    clock.now -= MINUTE
    with pytest.raises(AlreadyEnded, match="expired"):
        await confirmed(await place.process())
    assert await balance(first) == 10_000


async def test_a_worker_that_knew_the_account_before_the_reservation_ends_it_just_the_same(
    places: Callable[[str], Place], clock: TestClock
) -> None:
    place = places("one")
    first = await prepared(await place.process())
    await shop(first, 5, 10_000)
    worker = await place.process()
    await worker.ledger.heads(["M1"])
    await reserve(first)
    clock.now += 15 * MINUTE
    assert await status_of(worker)("M1", RDM, "mug") == "gone"
    clock.now -= MINUTE
    with pytest.raises(AlreadyEnded, match="expired"):
        await confirmed(await place.process())
    assert await balance(first) == 10_000


@WRITES
@pytest.mark.parametrize(("before", "act", "status", "end"), CASES, ids=NAMES)
async def test_if_nobody_sends_it_again_it_has_happened_whole_or_not_at_all(
    places: Callable[[str], Place],
    clock: TestClock,
    before: Before,
    act: Act,
    status: str,
    end: tuple[int, tuple[int, int, int]],
    one_by_one: bool,
) -> None:
    for write in range(1, MOST_WRITES):
        place = places(f"{write}")
        died = await crashed(place, before, act, Fuse(write), one_by_one)
        clock.now += DAY
        worker = await place.process()
        await followed(worker)
        await swept(worker)
        assert await state(worker) in (KEPT, BACK), write
        assert await findings(worker) == [], write
        facts = await entries(worker)
        await followed(worker)
        assert await entries(worker) == facts, write
        if not died:
            return
    raise AssertionError("it never ended")
