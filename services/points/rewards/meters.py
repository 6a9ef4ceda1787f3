"""Velocity limits of devices, payees and agents: counted before anything of value moves."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

from kit.clock import Clock
from kit.streams import Command, New
from kit.telemetry import current_traceparent
from programmes.ledger import Velocity
from services.points.domain import meters as domain
from services.points.domain.meters import MOST_ENTRIES, Count, Meter, MeterLimit
from services.points.rewards.stock import done
from services.points.rewards.views import Meters

DAY_HOURS = 24
MeterKind = Literal["device", "payee", "agent"]


class VelocityMeters:
    """Meters by device, payee and agent, each with its limits."""

    def __init__(
        self,
        streams: Meters,
        clock: Clock,
        device: tuple[MeterLimit, ...],
        payee: tuple[MeterLimit, ...],
        agent: tuple[MeterLimit, ...] = (),
    ) -> None:
        self.streams, self._clock = streams, clock
        self._limits: dict[MeterKind, tuple[MeterLimit, ...]] = {
            "device": device,
            "payee": payee,
            "agent": agent,
        }

    async def count(self, kind: MeterKind, id_: str, request: str, points: int) -> int:
        """Count a request for ``points``; the same request again counts once. When it counted.

        ``id_`` is kept as a digest alone. Raises VelocityExceeded, or ServiceError ``refused``
        when the points alone are over a limit.
        """
        asked = Count(kind, request, points, self._clock(), self._limits[kind])
        digest = blake2b(str(points).encode(), digest_size=16).digest()
        made = Command(
            meter_owner(kind, id_), f"count:{request}", digest, asked, current_traceparent()
        )
        (result,) = await self.streams.execute([made], _facts)
        return done(result).facts[0].occurred_at


def limits_of(velocities: Sequence[Velocity]) -> tuple[MeterLimit, ...]:
    """The programme's limits; a meter remembers so many, and no limit may ask for more."""
    return tuple(
        MeterLimit(each.hours, min(each.times or MOST_ENTRIES, MOST_ENTRIES), each.points)
        for each in velocities
    )


def daily_limit(points: int | None) -> tuple[MeterLimit, ...]:
    """At most so many points within any 24 hours; none: no limit."""
    return () if points is None else (MeterLimit(DAY_HOURS, points=points),)


def meter_owner(kind: MeterKind, id_: str) -> str:
    """The owner of a meter's stream: no device's own id stands in a journal."""
    return f"{kind}.{blake2b(id_.encode(), digest_size=15).hexdigest()}"


def _facts(state: Meter, count: Count) -> list[New]:
    fact = domain.decide(state, count)
    return [New(f"count:{count.request}", "MeterCounted", count.now, fact)]
