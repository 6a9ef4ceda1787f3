"""What a benchmark says: figures, each beside its limit, its target, and whether it is met.

Machines differ by a factor of two and the same machine differs from hour to hour, so a figure alone
says little. A ratio to what the machine could do at best, measured in the same run, says more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Target:
    """What a figure ought to be: its ratio to the limit, or the figure itself."""

    kind: Literal["at most", "at least"]
    bound: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, measured: float) -> bool:
        """Tell whether a measured ratio or value is good enough."""
        return measured <= self.bound if self.kind == "at most" else measured >= self.bound

    def text(self, limit_name: str, unit: str) -> str:
        """The target in few words, e.g. ``≤ 4 × raw inserts``."""
        sign = "≤" if self.kind == "at most" else "≥"
        what = f"× {limit_name}" if self.of == "ratio" else unit
        return f"{sign} {self.bound:,g} {what}"


@dataclass(frozen=True)
class Figure:
    """One measured number, in ``unit``; ``limit`` is in the same unit."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of its limit."""
        return self.value / self.limit if self.limit else None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if self.target is None:
            return None
        measured = self.ratio if self.target.of == "ratio" else self.value
        return measured is not None and self.target.met(measured)

    def plain(self) -> dict[str, Any]:
        """The figure as JSON has it."""
        target = self.target and self.target.text(self.limit_name, self.unit)
        return {
            "name": self.name,
            "value": _finite(self.value),
            "unit": self.unit,
            "limit": self.limit,
            "limit_name": self.limit_name or None,
            "ratio": _finite(self.ratio),
            "target": target,
            "ok": self.ok,
        }


@dataclass(frozen=True)
class Result:
    """What one benchmark found. ``notes`` say how to read it, ``details`` go to the JSON alone."""

    name: str
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "name": self.name,
            "figures": [figure.plain() for figure in self.figures],
            "notes": list(self.notes),
            "details": dict(self.details),
        }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of all do not exceed (nearest rank); NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * share)) - 1]
