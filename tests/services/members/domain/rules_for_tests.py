"""The rules of the default programme, written out, and a few ways to make activities."""

from datetime import UTC, datetime

from services.members.domain.calendar import Calendar
from services.members.domain.relationship import Step, beginning, fold
from services.members.domain.rules import EVIDENCE, Rhythm, Rules, Tier
from services.members.domain.state import Activity, Relationship, Returned

DAY = 86_400_000_000
START = int(datetime(2025, 1, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
Timed = tuple[int, Activity]


def highest(combination: int) -> int:
    held = {name: bool(combination >> i & 1) for i, name in enumerate(EVIDENCE)}
    steps = (
        held["contact"] or held["kept_purchase"],
        held["kept_purchase"],
        held["repeat"] and held["content"] and not held["open_complaint"],
        held["sustained"] and held["advocacy"],
    )
    return steps.index(False) if False in steps else len(steps)


RULES = Rules(
    contact_activities=frozenset(("visit", "app_open", "content_view", "share", "review")),
    contact_within=90 * DAY,
    advocacy_activities=frozenset(("share",)),
    advocacy_within=365 * DAY,
    minimum_rating=4,
    sustained_purchases=6,
    sustained_within=180 * DAY,
    rhythm=Rhythm((2, 1), 30 * DAY, 7 * DAY, 120 * DAY),
    tiers=(Tier("member", 0), Tier("silver", 600_00), Tier("gold", 1800_00)),
    window_days=365,
    stages=("need", "awareness", "acceptance", "satisfaction", "loyalty"),
    ladder=tuple(highest(combination) for combination in range(128)),
    calendar=Calendar("UTC"),
)


def activity(kind: str, name: str = "a", **fields: object) -> Activity:
    return Activity(name, "M1", kind, **fields)  # type: ignore[arg-type]


def purchase(name: str, amount: int = 10_00) -> Activity:
    return activity("purchase", name, amount=amount)


def given_back(
    name: str, bought: Activity, seq: int, at: int, amount: int | None = None
) -> Activity:
    money = bought.amount if amount is None else amount
    returned = Returned(bought.activity_id, seq, at, money, money == bought.amount)
    return activity("return", name, returned=returned)


def lived(activities: list[Timed], rules: Rules = RULES) -> tuple[Relationship, list[Step]]:
    """Fold activities in the order given; the state they end in and every step."""
    state, steps = beginning(rules), []
    for seq, (at, done) in enumerate(activities, 1):
        steps.append(fold(state, done, seq, at, rules))
        state = steps[-1].state
    return state, steps


def records(steps: list[Step]) -> list[tuple[str, int]]:
    """The facts of the way as (tier or stage reached, days since the start)."""
    found = []
    for step in steps:
        for transition in step.transitions:
            reached = getattr(transition.body, "stage", None) or transition.body.tier
            found.append((reached, (transition.at - START) / DAY))
    return found
