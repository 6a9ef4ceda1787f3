"""The rules of series and vouchers: pure, exact, and under random histories."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.vouchers import SeriesTerms, VoucherIssued, Worth
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.domain import voucher_errors as errors
from services.points.domain import vouchers as life
from services.points.domain.voucher_series import (
    Define,
    Series,
    define,
    defined,
    most_vouchers,
    split,
    validity,
)
from services.points.domain.vouchers import Basket, Cancel, Expire, Redeem, Undo, Use, Voucher, use
from tests.services.points.vouchers.making import TEN_OFF

NOW = 1_000_000
VALUE = Worth("value", 1000)


def open_voucher(worth: Worth = VALUE, **terms: object) -> Voucher:
    issued = VoucherIssued("v", "s", 1, "M1", "r", worth, "USD", NOW)
    return life.issued(Voucher(), replace(issued, **terms), NOW)


@pytest.mark.parametrize(
    ("worth", "terms", "basket", "wanted", "done"),
    [
        (VALUE, {}, Basket(4599, "USD"), None, Use(1000, 0, 1000)),
        (VALUE, {}, Basket(600, "USD"), None, Use(1000, 0, 600)),
        (VALUE, {"partial": True}, Basket(600, "USD"), None, Use(600, 400, 600)),
        (VALUE, {"partial": True}, Basket(600, "USD"), 250, Use(250, 750, 250)),
        (Worth("percentage", percent=15), {}, Basket(999, "USD"), None, Use(0, 0, 149)),
        (
            Worth("percentage", percent=50, most_discount=700),
            {},
            Basket(4599, "USD"),
            None,
            Use(0, 0, 700),
        ),
        (Worth("product", item="mug"), {}, Basket(), None, Use(0, 0, None)),
        (Worth("service", item="engraving"), {}, Basket(), None, Use(0, 0, None)),
        (VALUE, {"combinable": True}, Basket(4599, "USD", 2), None, Use(1000, 0, 1000)),
    ],
)
def test_what_a_voucher_does_to_a_basket(
    worth: Worth, terms: dict[str, object], basket: Basket, wanted: int | None, done: Use
) -> None:
    assert use(open_voucher(worth, **terms), basket, wanted, NOW) == done


@pytest.mark.parametrize(
    ("voucher", "basket", "wanted", "error"),
    [
        (Voucher(), Basket(1, "USD"), None, errors.VoucherUnknown),
        (Voucher(status="free", series_id="s"), Basket(1, "USD"), None, errors.VoucherUnknown),
        (open_voucher(), Basket(), None, errors.BasketMissing),
        (open_voucher(), Basket(4599, "EUR"), None, errors.CurrencyDiffers),
        (open_voucher(), Basket(4599, "USD", 1), None, errors.NotCombinable),
        (open_voucher(), Basket(4599, "USD"), 500, errors.NotInParts),
        (open_voucher(minimum_basket=5000), Basket(4999, "USD"), None, errors.BasketTooSmall),
        (open_voucher(expires_at=NOW), Basket(4599, "USD"), None, errors.AlreadyExpired),
        (open_voucher(valid_from=NOW + 1), Basket(4599, "USD"), None, errors.NotYetValid),
        (
            open_voucher(Worth("product", item="mug"), minimum_basket=1),
            Basket(),
            None,
            errors.BasketMissing,
        ),
    ],
)
def test_what_stands_in_the_way(
    voucher: Voucher, basket: Basket, wanted: int | None, error: type[ServiceError]
) -> None:
    with pytest.raises(error):
        use(voucher, basket, wanted, NOW)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["redeem", "redeem", "undo", "cancel", "expire"]),
        st.integers(1, 1200),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(ACTIONS, st.booleans())
def test_whatever_happens_no_value_is_made_and_a_voucher_ends_once(
    actions: list[tuple[str, int, int]], partial: bool
) -> None:
    voucher, now, ends = open_voucher(partial=partial, expires_at=NOW + 20), NOW, 0
    for place, (action, amount, which) in enumerate(actions):
        now += 1
        with suppress(ServiceError):
            voucher = step(voucher, action, amount, which, place, now)
            ends += action in ("cancel", "expire") and voucher.ended_at == now
        used = sum(one.used for one in voucher.redemptions if not one.undone)
        assert used + voucher.remaining == 1000
        assert voucher.remaining >= 0
        assert (voucher.status == "redeemed") <= (voucher.remaining == 0)
    assert ends <= 1


def step(voucher: Voucher, action: str, amount: int, which: int, place: int, now: int) -> Voucher:
    """One thing that happens to a voucher, if it may."""
    if action == "redeem":
        basket = Basket(amount, "USD")
        redeem = Redeem("v", f"r{place}", "north", None, basket, None, now)
        return life.redeemed(voucher, life.redeem(voucher, redeem), now)
    if action == "undo":
        done = [one.redemption_id for one in voucher.redemptions]
        name = done[which % len(done)] if done else "none"
        fact = life.undo(voucher, Undo(name, "north", now, 10))
        return life.undone(voucher, fact) if fact is not None else voucher
    if action == "cancel" and which == 0:
        life.cancel(voucher, Cancel("v", "why", "ann"))
        return life.ended(voucher, "cancelled", now)
    if action == "expire" and life.expire(voucher, Expire(now)) is not None:
        return life.ended(voucher, "expired", now)
    return voucher


def test_a_redemption_undone_after_the_expiry_comes_back_expired() -> None:
    voucher = open_voucher(partial=True, expires_at=NOW + 5)
    redeem = Redeem("v", "r1", "north", None, Basket(300, "USD"), None, NOW)
    voucher = life.redeemed(voucher, life.redeem(voucher, redeem), NOW)
    voucher = life.ended(voucher, "expired", NOW + 5)
    fact = life.undo(voucher, Undo("r1", "north", NOW + 6, 10))
    assert fact is not None
    voucher = life.undone(voucher, fact)
    assert (voucher.status, voucher.remaining) == ("expired", 1000)


def test_an_undo_is_for_the_same_partner_and_a_set_time() -> None:
    voucher = open_voucher()
    redeem = Redeem("v", "r1", "north", None, Basket(4599, "USD"), None, NOW)
    voucher = life.redeemed(voucher, life.redeem(voucher, redeem), NOW)
    with pytest.raises(errors.RedemptionUnknown):
        life.undo(voucher, Undo("r1", "south", NOW, 10))
    with pytest.raises(errors.RedemptionUnknown):
        life.undo(voucher, Undo("r2", "north", NOW, 10))
    with pytest.raises(errors.UndoTooLate):
        life.undo(voucher, Undo("r1", "north", NOW + 11, 10))
    assert life.undo(voucher, Undo("r1", "north", NOW + 10, 10)) is not None


def test_what_was_redeemed_of_a_cancelled_voucher_stays_redeemed() -> None:
    voucher = open_voucher(partial=True)
    redeem = Redeem("v", "r1", "north", None, Basket(300, "USD"), None, NOW)
    voucher = life.redeemed(voucher, life.redeem(voucher, redeem), NOW)
    voucher = life.ended(voucher, "cancelled", NOW)
    with pytest.raises(errors.AlreadyCancelled):
        life.undo(voucher, Undo("r1", "north", NOW, 10))


def test_a_voucher_is_used_in_a_hundred_parts_at_most() -> None:
    voucher = open_voucher(partial=True)
    for place in range(100):
        redeem = Redeem("v", f"r{place}", "north", None, Basket(1, "USD"), None, NOW)
        voucher = life.redeemed(voucher, life.redeem(voucher, redeem), NOW)
    with pytest.raises(errors.TooManyRedemptions):
        life.redeem(voucher, redeem)


@pytest.mark.parametrize(
    ("vouchers", "slices"), [(1, 1), (127, 1), (128, 2), (1023, 15), (1024, 16), (10**8, 16)]
)
def test_a_small_budget_has_few_slices_and_the_slices_add_up(vouchers: int, slices: int) -> None:
    capacities = split(vouchers)
    assert (len(capacities), sum(capacities)) == (slices, vouchers)
    assert max(capacities) - min(capacities) <= 1


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_a_budget_that_is_raised_takes_nothing_from_any_slice(steps: list[int]) -> None:
    series, budget = Series(), 0
    for more in steps:
        budget += more
        before = series.capacities
        fact = define(series, Define("s", replace(TEN_OFF, most_vouchers=budget), "mia"))
        assert fact is not None
        series = defined(series, fact)
        assert sum(series.capacities) == budget
        assert all(a <= b for a, b in zip(before, series.capacities, strict=False))


def test_a_budget_in_money_is_one_in_vouchers() -> None:
    assert most_vouchers(replace(TEN_OFF, most_vouchers=50, most_value=9_999)) == 9
    mug = SeriesTerms("Mug", Worth("product", item="mug", cost=300), "USD", "generated")
    assert most_vouchers(replace(mug, most_value=1000)) == 3


def test_what_a_series_is_never_changes_and_its_budget_only_grows() -> None:
    first = define(Series(), Define("s", TEN_OFF, "mia"))
    assert first is not None
    series = defined(Series(), first)
    assert define(series, Define("s", TEN_OFF, "mia")) is None
    for change in ({"worth": Worth("value", 900)}, {"currency": "EUR"}, {"partial": True}):
        with pytest.raises(errors.SeriesFixed):
            define(series, Define("s", replace(TEN_OFF, **change), "mia"))
    with pytest.raises(errors.BudgetOnlyGrows):
        define(series, Define("s", replace(TEN_OFF, most_vouchers=999), "mia"))
    assert define(series, Define("s", replace(TEN_OFF, closed=True), "mia")) is not None


def test_a_voucher_holds_until_the_earlier_of_its_two_ends() -> None:
    terms = replace(TEN_OFF, valid_from=2 * DAY, valid_until=10 * DAY, valid_days=5)
    assert validity(terms, DAY) == (2 * DAY, 7 * DAY)
    assert validity(terms, 6 * DAY) == (6 * DAY, 10 * DAY)
    assert validity(TEN_OFF, DAY) == (DAY, None)
