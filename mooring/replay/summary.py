"""What a replay brought: members per tier and stage, points issued, speed."""

from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from mooring.replay.client import Tally
from mooring.services import Services
from services.members import audit as members_audit
from services.points import audit as points_audit


@dataclass(frozen=True)
class Summary:
    """``seconds_sent`` until the last batch was acknowledged, ``seconds`` until all was settled."""

    tally: Tally
    seconds_sent: float
    seconds: float
    tiers: dict[str, int] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    example_member: str | None = None

    @property
    def per_second(self) -> float:
        """Activities per second, through to tier, stage and balance."""
        return self.tally.sent / self.seconds if self.seconds else 0.0


async def summarise(
    services: Services, tally: Tally, seconds_sent: float, seconds: float
) -> Summary:
    """Count what is in the stores."""
    tiers: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    async for line in members_audit.digest_lines(services.members):
        _, _member, _, tier, _, stage = line.split(" ")
        tiers[tier] += 1
        stages[stage] += 1
    points: Counter[str] = Counter()
    richest: tuple[int, str | None] = (0, None)
    async for line in points_audit.digest_lines(services.points):
        _, member, wallet, balance = line.split(" ")
        points[wallet] += int(balance)
        richest = max(richest, (int(balance), member), key=lambda pair: pair[0])
    return Summary(
        tally, seconds_sent, seconds, dict(tiers), dict(stages), dict(points), richest[1]
    )


def print_summary(summary: Summary, out: Console) -> None:
    """Print the summary as a table."""
    tally = summary.tally
    table = Table(title="Replayed", show_header=False, title_justify="left")
    table.add_row("activities", f"{tally.sent:,}")
    table.add_row("of them new", f"{tally.accepted:,}")
    table.add_row("seen before", f"{tally.duplicate:,}")
    table.add_row("refused", f"{tally.refused:,}")
    for name, count in summary.tiers.items():
        table.add_row(f"members of tier {name}", f"{count:,}")
    for name, count in summary.stages.items():
        table.add_row(f"members at {name}", f"{count:,}")
    for name, count in sorted(summary.points.items()):
        table.add_row(f"points in wallet {name}", f"{count:,}")
    table.add_row("seconds", f"{summary.seconds:.1f}")
    table.add_row("activities/s", f"{summary.per_second:,.0f}")
    out.print(table)
