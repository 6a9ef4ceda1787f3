import pytest

from gateway.limits import InFlight, TokenBuckets
from kit.errors import ServiceError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: Clock):
    buckets = TokenBuckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now = 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == 0.5


def test_a_refused_request_costs_nothing(clock: Clock):
    buckets = TokenBuckets(rate=1, burst=1, clock=clock)
    buckets.take("a")
    assert [buckets.take("a") for _ in range(10)] == [1.0] * 10
    clock.now = 1.0
    assert buckets.take("a") == 0.0


def test_a_bucket_never_holds_more_than_its_burst(clock: Clock):
    buckets = TokenBuckets(rate=10, burst=2, clock=clock)
    buckets.take("a")
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.1]


def test_a_cost_above_the_burst_passes_once_and_is_paid_off(clock: Clock):
    buckets = TokenBuckets(rate=1, burst=10, clock=clock)
    assert buckets.take("a", cost=30) == 0.0
    assert buckets.take("a") == 21.0
    clock.now = 21.0
    assert buckets.take("a") == 0.0


def test_callers_do_not_share_and_their_number_is_bounded(clock: Clock):
    buckets = TokenBuckets(rate=1, burst=1, clock=clock, most_callers=2)
    assert [buckets.take(caller) for caller in "abc"] == [0.0, 0.0, 0.0]
    assert buckets.take("c") == 1.0
    assert buckets.take("a") == 0.0


def test_places_are_bounded_and_given_back_after_a_failure():
    places = InFlight("points", most=1)
    with pytest.raises(KeyError), places:
        raise KeyError
    with places, pytest.raises(ServiceError, match="overloaded"):
        places.__enter__()
    assert places.now == 0
