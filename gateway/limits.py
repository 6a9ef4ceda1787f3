"""How much a caller may ask, and how much may be under way."""

import time
from collections.abc import Callable

from gateway.settings import Limits
from kit.auth.principal import Principal
from kit.errors import ServiceError

MOST_CALLERS = 100_000
BYTES_PER_TOKEN = 1024


class TokenBuckets:
    """A token bucket per caller: ``rate`` tokens a second, ``burst`` at most.

    A cost above the burst is let through when the bucket is full and leaves it in debt, so that a
    large batch is slowed down, never shut out. The callers seen longest ago are forgotten first,
    which only ever favours a caller.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        most_callers: int = MOST_CALLERS,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._most = most_callers
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, cost: float = 1.0) -> float:
        """Take tokens; 0.0 when granted, else the seconds until they will be there."""
        now = self._clock()
        tokens, filled_at = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - filled_at) * self._rate)
        missing = min(cost, self._burst) - tokens
        self._buckets[caller] = (tokens if missing > 0 else tokens - cost, now)
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return max(0.0, missing / self._rate)


class RateLimit:
    """Token buckets for members, and larger ones for everybody else."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._members = TokenBuckets(limits.member_rate, limits.member_burst, clock=clock)
        self._clients = TokenBuckets(limits.client_rate, limits.client_burst, clock=clock)

    def charge(self, principal: Principal, batch_bytes: int | None) -> None:
        """Count a request; a batch costs one more for every kilobyte. Raises ``too_many``."""
        cost = 1.0 if batch_bytes is None else 1.0 + batch_bytes / BYTES_PER_TOKEN
        buckets = self._members if principal.roles == _MEMBER else self._clients
        wait = buckets.take(principal.subject, cost)
        if wait > 0:
            raise ServiceError(
                "too_many",
                "rate_limited",
                "Too many requests. Wait as long as Retry-After says, then go on more slowly.",
                retry_after_seconds=max(1, round(wait + 0.5)),
            )


_MEMBER = frozenset({"member"})


class InFlight:
    """A bound on the requests under way to one service: ``with`` takes a place for a while."""

    def __init__(self, service: str, most: int) -> None:
        self._service = service
        self._most = most
        self.now = 0

    def __enter__(self) -> None:
        """Take a place; raises ServiceError ``unavailable`` when none is free."""
        if self.now >= self._most:
            raise ServiceError(
                "unavailable",
                "overloaded",
                f"Too much is under way to {self._service}. Try again in a moment.",
                part=self._service,
            )
        self.now += 1

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        self.now -= 1
