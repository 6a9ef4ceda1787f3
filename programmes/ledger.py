"""The `points` section of a programme: how points live, and how they may move.

Everything has a default, so that a programme may leave the whole section out: points are then there
at once, never expire, and go back whole when a purchase is returned.
"""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from contracts.events import ActivityType
from kit.rules import Condition, compile_condition
from programmes import checks
from programmes.vocabularies import PERIOD

Code = Annotated[str, AfterValidator(checks.code)]
Localised = Annotated[dict[str, str], AfterValidator(checks.localised)]
PeriodRule = Annotated[str, AfterValidator(checks.rule(PERIOD))]
Days = Annotated[int, Field(ge=0, le=3660)]
Months = Annotated[int, Field(ge=0, le=120)]
Hours = Annotated[int, Field(ge=0, le=8760)]
Points = Annotated[int, Field(ge=1, le=2**53 - 1)]
Cost = Annotated[Decimal, BeforeValidator(checks.exact_number), Field(ge=0, le=1000)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Activation(Model):
    """Points open after so many days, or with a later activity about the purchase.

    `on` is the subject of a custom activity (such as delivered) whose `purchase` attribute names
    the purchase; `after_days` is then when they open without it (0: they wait for it).
    """

    after_days: Days = 0
    on: Code | None = None


class Expiry(Model):
    """When points expire; see docs/ledger.md for each kind."""

    kind: Literal["never", "dates", "rolling", "sliding"] = "never"
    months: Months = 0
    days: Days = 0
    rounded_to: Literal["month", "quarter", "year"] | None = None
    dates: Annotated[tuple[str, ...], AfterValidator(checks.days_of_the_year)] = ()
    activities: tuple[ActivityType, ...] = ()
    name: Code = "activity"

    @model_validator(mode="after")
    def _says_when(self) -> "Expiry":
        checks.expiry_says_when(self)
        return self


class Vesting(Model):
    """A bonus that unlocks in instalments, each if `when` holds for the time before it."""

    name: Code
    instalments: Annotated[int, Field(ge=1, le=60)]
    months: Months = 0
    days: Days = 0
    when: PeriodRule

    @cached_property
    def condition(self) -> Condition:
        return compile_condition(self.when, PERIOD)

    @model_validator(mode="after")
    def _has_a_length(self) -> "Vesting":
        if not self.months and not self.days:
            raise ValueError("needs months or days: how long each instalment takes")
        return self


class Lots(Model):
    """How the points of a wallet live; with a campaign or a tier, how those points do."""

    wallet: Code
    campaign: Code | None = None
    tier: Code | None = None
    activation: Activation = Activation()
    expiry: Expiry = Expiry()
    vesting: Vesting | None = None

    @model_validator(mode="after")
    def _ends_some_day(self) -> "Lots":
        waits = self.activation.on is not None and not self.activation.after_days
        if waits and self.expiry.kind == "never":
            raise ValueError(
                "points that wait for an activity need after_days or an expiry: "
                "one that never comes would leave them waiting for ever"
            )
        return self


class Velocity(Model):
    """At most so many points, and so many times, within some hours."""

    hours: Annotated[int, Field(ge=1, le=744)]
    points: Points | None = None
    times: Annotated[int, Field(ge=1, le=200)] | None = None


class Transfers(Model):
    allowed: bool = True
    minimum: Points = 1
    maximum: Points = 1_000_000
    accept_within_days: Annotated[int, Field(ge=1, le=365)] = 14


class Reason(Model):
    """Why an agent may correct a balance, and against which system account."""

    code: Code
    name: Localised
    account: Literal["adjustment", "compensation"] = "adjustment"


_REASONS = (
    Reason(code="goodwill", name={"en": "Goodwill", "zh": "补偿"}, account="compensation"),
    Reason(code="correction", name={"en": "Correction", "zh": "更正"}),
)


class Adjustments(Model):
    """What one person may correct alone: at once, and in all within any 24 hours (none: no limit).

    More waits for a second person.
    """

    alone_up_to: Annotated[int, Field(ge=0, le=2**53 - 1)] = 1_000
    alone_up_to_in_a_day: Points | None = None
    reasons: Annotated[tuple[Reason, ...], AfterValidator(checks.not_empty)] = _REASONS


class Fraud(Model):
    """How fast points may leave an account; what a device or a payee may see of it."""

    per_member: tuple[Velocity, ...] = (Velocity(hours=24, times=50),)
    per_device: tuple[Velocity, ...] = (Velocity(hours=24, times=100),)
    per_payee: tuple[Velocity, ...] = (Velocity(hours=24, times=50),)
    cooling_hours: Hours = 24
    step_up_above: Points | None = None


class Ledger(Model):
    """The whole section."""

    cost_per_point: Cost = Decimal(0)
    lots: tuple[Lots, ...] = ()
    returns: Literal["only_pending", "within_balance", "unlimited"] = "unlimited"
    hold_minutes: Annotated[int, Field(ge=1, le=43_200)] = 30
    transfers: Transfers = Transfers()
    adjustments: Adjustments = Adjustments()
    fraud: Fraud = Fraud()
    alert_when_issued_in_a_day: Points | None = None

    @property
    def watches(self) -> bool:
        """Whether any lot's life depends on what its member does later."""
        return any(
            lots.vesting is not None
            or lots.activation.on is not None
            or lots.expiry.kind == "sliding"
            for lots in self.lots
        )


def _sliding_names(ledger: Ledger) -> checks.Problems:
    """Lots are told apart by the name of their sliding expiry: one name, one rule."""
    problems: checks.Problems = []
    known: dict[str, Expiry] = {}
    for number, lots in enumerate(ledger.lots):
        rule = lots.expiry
        if rule.kind == "sliding" and known.setdefault(rule.name, rule) != rule:
            message = f"'{rule.name}' is the name of another sliding expiry: give this one its own"
            problems.append((("points", "lots", number, "expiry", "name"), message))
    return problems


def _daily_limit(adjustments: Adjustments) -> checks.Problems:
    """A day has room for the largest correction that one person may make."""
    one, day = adjustments.alone_up_to, adjustments.alone_up_to_in_a_day
    if day is None or day >= one:
        return []
    message = (
        f"is less than alone_up_to, {one}, so that a correction of {one} points would always wait: "
        f"raise it to {one} or more, or lower alone_up_to"
    )
    return [(("points", "adjustments", "alone_up_to_in_a_day"), message)]


def places(ledger: Ledger, wallets: Any, campaigns: Any, tiers: Any) -> checks.Problems:
    """Every name in the section that the programme does not know, with the nearest it does."""
    problems = _sliding_names(ledger) + _daily_limit(ledger.adjustments)
    for number, lots in enumerate(ledger.lots):
        for field, known in (("wallet", wallets), ("campaign", campaigns), ("tier", tiers)):
            name = getattr(lots, field)
            if name is not None and name not in known:
                problem = checks.unknown(field, name, known)
                problems.append((("points", "lots", number, field), problem))
    return problems
