"""The programme as data: what five_star.yaml may say, checked whole before anything starts.

    programme = load_programme(settings.programme)
    programme.tiers[1].spend              # 60000: integer minor units of programme.currency
    programme.earning[0].condition.holds(facts)
    programme.revision                    # "5c1e9a07b3d2": recorded with every decision

Amounts of money are written in currency units (`spend: 600.00`) and become integer minor units
here, at the border. Models are frozen; sequences are tuples.
"""

import hashlib
import json
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from contracts.events import ActivityType
from kit.rules import Condition, compile_condition
from kit.yaml_source import SourceError, read_model
from programmes import checks
from programmes.ledger import Ledger, places
from programmes.vocabularies import ACTIVITY, EVIDENCE

StageCode = Literal["need", "awareness", "acceptance", "satisfaction", "loyalty"]
FileField = Literal[
    "name",
    "email",
    "phone",
    "birthday",
    "household",
    "region",
    "culture",
    "education",
    "interests",
    "consents",
]


def _minor_units(value: object, info: ValidationInfo) -> object:
    """An amount as written, in minor units. Without a context (code, not a file) it is both."""
    if info.context is None:
        return value
    return checks.minor_units(value, info.context["currency_exponent"])


Code = Annotated[str, AfterValidator(checks.code)]
Days = Annotated[int, Field(ge=1, le=3660)]
Factor = Annotated[Decimal, BeforeValidator(checks.exact_number), Field(gt=0, le=1000)]
MinorUnits = Annotated[int, BeforeValidator(_minor_units), Field(ge=0, le=10**15)]
Localised = Annotated[dict[str, str], AfterValidator(checks.localised)]
ActivityRule = Annotated[str, AfterValidator(checks.rule(ACTIVITY))]
EvidenceRule = Annotated[str, AfterValidator(checks.rule(EVIDENCE))]
Activities = Annotated[tuple[ActivityType, ...], AfterValidator(checks.not_empty)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Wallet(Model):
    code: Code
    spendable: bool


class Tier(Model):
    code: Code
    name: Localised
    spend: MinorUnits  # reached within the window to have this tier
    multiplier: Factor


class Award(Model):
    wallet: Code
    points_per_unit: Factor  # points for one unit of currency
    multiplied_by_tier: bool = False


class Campaign(Model):
    id: Code
    name: Localised
    on: Activities
    when: ActivityRule
    awards: Annotated[tuple[Award, ...], AfterValidator(checks.not_empty)]
    rounding: Literal["half_up", "floor"] = "half_up"

    @cached_property
    def condition(self) -> Condition:
        return compile_condition(self.when, ACTIVITY)


class Stage(Model):
    code: StageCode
    name: Localised
    when: EvidenceRule

    @cached_property
    def condition(self) -> Condition:
        return compile_condition(self.when, EVIDENCE)


class Contact(Model):
    activities: Activities
    within_days: Days


class Repeat(Model):
    """A purchase repeats in time within `factor` × the member's own usual interval in days."""

    factor: Factor
    default_days: Days
    minimum_days: Days
    maximum_days: Days


class Content(Model):
    minimum_rating: Annotated[int, Field(ge=1, le=5)]


class Sustained(Model):
    purchases: Annotated[int, Field(ge=1, le=10_000)]
    within_days: Days


class Advocacy(Model):
    activities: Activities
    within_days: Days


class Evidence(Model):
    contact: Contact
    repeat: Annotated[Repeat, AfterValidator(checks.interval_bounds)]
    content: Content
    sustained: Sustained
    advocacy: Advocacy


Weight = Annotated[int, Field(ge=1, le=100)]


class MemberFile(Model):
    completeness: Annotated[dict[FileField, Weight], AfterValidator(checks.sums_to_100)]


class Programme(Model):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    version: Annotated[int, Field(ge=1)]
    time_zone: Annotated[str, AfterValidator(checks.time_zone)]
    currency: Annotated[str, AfterValidator(checks.currency)]
    currency_exponent: Annotated[int, Field(ge=0, le=4)]
    wallets: Annotated[tuple[Wallet, ...], AfterValidator(checks.wallets)]
    tier_window_days: Days
    tiers: Annotated[tuple[Tier, ...], AfterValidator(checks.tiers)]
    earning: Annotated[tuple[Campaign, ...], AfterValidator(checks.campaigns)]
    stages: Annotated[tuple[Stage, ...], AfterValidator(checks.stages)]
    evidence: Evidence
    member_file: MemberFile
    points: Ledger = Ledger()
    decide_within_seconds: Annotated[
        float, BeforeValidator(checks.number_of_seconds), Field(gt=0, le=60)
    ]

    @model_validator(mode="after")
    def _awards_go_to_known_wallets(self) -> "Programme":
        checks.known_wallets(self)
        return self

    @model_validator(mode="after")
    def _points_live_by_known_names(self) -> "Programme":
        codes = [wallet.code for wallet in self.wallets]
        campaigns, tiers = [c.id for c in self.earning], [t.code for t in self.tiers]
        checks.section(places(self.points, codes, campaigns, tiers))
        return self

    @cached_property
    def revision(self) -> str:
        """A digest of the content: comments and layout do not change it, anything else does."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class ProgrammeError(SourceError):
    """A programme file that cannot be used, with every problem by file, line and field."""


def load_programme(path: Path | str) -> Programme:
    """The programme in a file; raises `ProgrammeError` naming every problem."""
    try:
        programme = read_model(path, Programme, _context)
    except SourceError as error:
        raise ProgrammeError(error.path, error.problems) from None
    return programme


def _context(data: Any) -> dict[str, int]:
    """The exponent is needed to read amounts; a wrong one is reported by its own field."""
    exponent = data.get("currency_exponent") if isinstance(data, dict) else None
    return {"currency_exponent": exponent if isinstance(exponent, int) else 2}
