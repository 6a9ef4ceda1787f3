"""Expected breakage: the formula by hand, and its interval against a known truth."""

import random
from fractions import Fraction
from math import sqrt

import pytest

from services.points.domain.breakage import Sample, student_t


def _sample(*accounts: tuple[int, int]) -> Sample:
    sample = Sample()
    for credited, expired in accounts:
        sample.add(credited, expired)
    return sample


def test_without_a_lot_whose_life_is_over_there_is_no_estimate() -> None:
    assert _sample().estimate() is None
    assert _sample((0, 0)).estimate() is None


def test_the_share_is_of_points_not_of_accounts() -> None:
    found = _sample((100, 0), (300, 100)).estimate()
    assert found is not None
    assert found.rate == Fraction(1, 4)


def test_the_interval_is_the_linearisation_worked_by_hand() -> None:
    # R = 60/200 = 0.3; residuals -10, +10, 0; var = 3/2 · 200/200² = 0.0075; t(2) = 4.3027
    found = _sample((100, 20), (50, 25), (50, 15)).estimate()
    assert found is not None
    assert found.rate == Fraction(3, 10)
    margin = 4.302653 * sqrt(0.0075)
    assert float(found.low) == pytest.approx(max(0, 0.3 - margin), abs=1e-6)
    assert float(found.high) == pytest.approx(0.3 + margin, abs=1e-6)


def test_one_account_bounds_nothing() -> None:
    found = _sample((100, 40)).estimate()
    assert found is not None
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize(
    ("expired", "low", "high"), [(0, 0, 1 - 0.025 ** (1 / 20)), (50, 0.025 ** (1 / 20), 1)]
)
def test_accounts_that_are_all_alike_do_not_make_certainty(
    expired: int, low: float, high: float
) -> None:
    found = _sample(*[(50, expired)] * 20).estimate()
    assert found is not None
    assert (float(found.low), float(found.high)) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (5, 2.5706),
        (10, 2.2281),
        (30, 2.0423),
        (999, 1.9623),
    ],
)
def test_the_quantile_of_students_t_is_the_one_in_the_tables(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, rel=0.002)


GROUPS = ((0.3, 2_000, 0.10), (0.7, 300, 0.45))
"""How many accounts, their mean credited points, the share that they let expire: who earns little
lets more expire, so that a mean of shares would be wrong."""
TRUTH = sum(part * mean * share for part, mean, share in GROUPS) / sum(
    part * mean for part, mean, _ in GROUPS
)


def _account(chance: random.Random) -> tuple[int, int]:
    _, mean, share = GROUPS[0] if chance.random() < GROUPS[0][0] else GROUPS[1]
    credited = max(1, round(chance.gammavariate(2, mean / 2)))
    own = chance.betavariate(share * 3, (1 - share) * 3)
    return credited, round(credited * own)


@pytest.mark.parametrize(("accounts", "least"), [(30, 0.88), (300, 0.93)])
def test_the_interval_holds_the_truth_nearly_as_often_as_it_says(
    accounts: int, least: float
) -> None:
    """Accounts differ a lot here: 91 % with 30 of them, 93 % with 100, 95 % with 300."""
    chance = random.Random(20_260_101)
    rounds = 600
    covered, shares = 0, 0.0
    for _ in range(rounds):
        found = _sample(*(_account(chance) for _ in range(accounts))).estimate()
        assert found is not None
        covered += found.low <= TRUTH <= found.high
        shares += float(found.rate)
    assert shares / rounds == pytest.approx(TRUTH, abs=0.01)
    assert least <= covered / rounds <= 0.975


def test_points_are_no_independent_draws_so_an_interval_over_points_would_be_too_narrow() -> None:
    """Why the account is the cluster: the binomial interval misses the truth most of the time."""
    chance = random.Random(7)
    covered = 0
    for _ in range(300):
        sample = _sample(*(_account(chance) for _ in range(100)))
        rate = sample.expired / sample.credited
        covered += abs(rate - TRUTH) <= 1.96 * sqrt(rate * (1 - rate) / sample.credited)
    assert covered / 300 < 0.5
