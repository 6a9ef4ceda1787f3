"""HTTP bodies of rewards. Money is in integer minor units of the programme's currency."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from contracts.catalogue import RewardKind, WriteDownReason
from services.points.domain.catalogue import ReasonCode

REWARD_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"
CODE = r"^[a-z][a-z0-9_]{0,39}$"
EXAMPLE_TIME = "2026-03-01T00:00:00Z"
MOST_POINTS = 10**12
MOST_MONEY = 10**12
MOST_OF_A_PERIOD = 32  # as many redemptions of a reward as an account remembers
STRICT = ConfigDict(extra="forbid", strict=True)
SHOWN = ConfigDict(frozen=True)


def _rfc_3339(value: object) -> object:
    """Only a written date and time: pydantic would take numbers for seconds as well."""
    if isinstance(value, str) and value[4:5] == "-" and len(value) >= 20:
        return value
    raise PydanticCustomError("datetime_type", "must be a time with its zone")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text.strip()


Moment = Annotated[
    AwareDatetime,
    Field(strict=False, examples=[EXAMPLE_TIME], description="RFC 3339, with its offset."),
    BeforeValidator(_rfc_3339),
]
Name = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[^\p{C}]*$"), AfterValidator(_not_blank)
]
Description = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_not_blank)]
Code = Annotated[str, Field(pattern=CODE)]
RewardId = Annotated[str, Field(pattern=REWARD_ID, examples=["coffee-mug"])]


class Names(BaseModel):
    """The same in every language of the club."""

    model_config = STRICT
    en: Name
    zh: Name


class Descriptions(BaseModel):
    """The same in every language of the club."""

    model_config = STRICT
    en: Description
    zh: Description


class PriceBody(BaseModel):
    """What one costs, paid from one wallet: points, and perhaps money beside them."""

    model_config = STRICT
    wallet: Code = Field("base", examples=["base"])
    points: int = Field(ge=1, le=MOST_POINTS, examples=[800])
    money: int = Field(0, ge=0, le=MOST_MONEY, examples=[500], description="Minor units.")


class EarlyAccessBody(BaseModel):
    """A tier that may redeem before everybody."""

    model_config = STRICT
    tier: Code = Field(examples=["gold"])
    hours: int = Field(ge=1, le=8760, examples=[48])


class PeriodLimitBody(BaseModel):
    """At most `count` for a member within any `days` days."""

    model_config = STRICT
    count: int = Field(ge=1, le=MOST_OF_A_PERIOD, examples=[2])
    days: int = Field(ge=1, le=3660, examples=[30])


class RewardBody(BaseModel):
    """A version of a reward."""

    model_config = STRICT
    names: Names
    descriptions: Descriptions | None = None
    gives: RewardKind
    series: str | None = Field(
        None, pattern=REWARD_ID, description="The voucher series that a `voucher` comes from."
    )
    prices: list[PriceBody] = Field(
        min_length=1, max_length=5, description="Alternatives by wallet; the first is the usual."
    )
    valid_from: Moment
    valid_until: Moment | None = Field(None, description="Absent: until it is retired.")
    early_access: list[EarlyAccessBody] = Field([], max_length=10)
    member_limit: int | None = Field(None, ge=1, le=1_000_000, description="For each member, ever.")
    period_limit: PeriodLimitBody | None = None
    eligibility: str | None = Field(
        None,
        min_length=1,
        max_length=2000,
        examples=['member.tier == "gold" && member.tenure_days >= 90'],
        description="A rule on the member card (CEL): `member.tier`, `.stage`, `.value_class`, "
        "`.tenure_days`, `.region`, `.channel`.",
    )
    limited: bool = Field(False, description="Only what is in stock. Fixed from the first.")
    slices: int = Field(
        16,
        ge=1,
        le=64,
        description="Into how many parts limited stock is laid so that many may take at once; 1 "
        "for a small one. Fixed from the first.",
    )
    unit_cost: int = Field(0, ge=0, le=MOST_MONEY, examples=[650], description="Minor units.")
    hold_minutes: int = Field(15, ge=1, le=1440, description="How long a reservation stands.")
    revision: int | None = Field(
        None, ge=0, description="The revision it replaces: refused when there is a newer one."
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> "RewardBody":
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")
        if (self.gives == "voucher") != (self.series is not None):
            raise ValueError("series goes with gives: voucher, and only with it")
        _distinct("prices", "wallet", [price.wallet for price in self.prices])
        _distinct("early_access", "tier", [early.tier for early in self.early_access])
        return self


def _distinct(field: str, name: str, values: list[str]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{field} must name each {name} once")


REWARD_EXAMPLE: dict[str, Any] = {
    "names": {"en": "Coffee mug", "zh": "咖啡杯"},
    "gives": "item",
    "prices": [{"wallet": "base", "points": 800}],
    "valid_from": "2026-03-01T00:00:00Z",
    "valid_until": "2026-06-01T00:00:00Z",
    "early_access": [{"tier": "gold", "hours": 48}],
    "period_limit": {"count": 2, "days": 30},
    "eligibility": 'member.stage != "need"',
    "limited": True,
    "unit_cost": 650,
}


class RetireBody(BaseModel):
    """Why it is offered no more."""

    model_config = STRICT
    reason: str = Field(
        min_length=1, max_length=200, pattern=r"^[^\p{C}]*$", examples=["The maker has closed"]
    )


class StockBody(BaseModel):
    """A delivery."""

    model_config = STRICT
    quantity: int = Field(ge=1, le=10**8, examples=[250])
    note: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^\p{C}]*$", examples=["Delivery 4711"]
    )


class StockCorrectionBody(BaseModel):
    """How many fewer there are than were thought, and why."""

    model_config = STRICT
    quantity: int = Field(ge=-(10**8), le=-1, examples=[-3])
    reason: WriteDownReason
    note: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^\p{C}]*$", examples=["Fell off the shelf"]
    )


class PriceView(BaseModel):
    """What one costs, paid from one wallet."""

    model_config = SHOWN
    wallet: str
    points: int
    money: int = 0


class RewardView(BaseModel):
    """A reward as everybody may see it."""

    model_config = SHOWN
    reward_id: RewardId
    revision: int
    phase: Literal["upcoming", "live", "ended", "retired"]
    names: dict[str, str]
    descriptions: dict[str, str] | None = None
    gives: RewardKind
    prices: list[PriceView]
    valid_from: datetime = Field(examples=[EXAMPLE_TIME])
    valid_until: datetime | None = None
    early_access: list[EarlyAccessBody]
    member_limit: int | None = None
    period_limit: PeriodLimitBody | None = None
    eligibility: str | None = None
    limited: bool
    left: int | None = Field(None, description="In stock a moment ago; absent without a limit.")


class RewardDetail(RewardView):
    """A reward as those see it who make it."""

    series: str | None = None
    slices: int | None = None
    unit_cost: int | None = None
    hold_minutes: int | None = None
    by: str | None = Field(None, description="Who defined this revision.")


class RewardList(BaseModel):
    """A page of rewards, by id."""

    model_config = SHOWN
    items: list[RewardDetail]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class ReasonView(BaseModel):
    """What keeps a member from redeeming, in words and in figures."""

    model_config = SHOWN
    code: ReasonCode = Field(examples=["points_missing"])
    words: dict[str, str] = Field(
        examples=[{"en": "350 more points are needed.", "zh": "还差 350 积分。"}]
    )
    facts: dict[str, int | str] = Field(examples=[{"missing": 350, "wallet": "base"}])


class MemberReward(RewardView):
    """A reward as one member sees it."""

    redeemable: bool
    why_not: list[ReasonView] = Field(description="Everything in the way; empty: nothing is.")


class MemberRewards(BaseModel):
    """A page of what a member may redeem now or soon."""

    model_config = SHOWN
    member_id: str
    items: list[MemberReward]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class WriteDownView(BaseModel):
    """What was written down at once."""

    model_config = SHOWN
    at: datetime = Field(examples=[EXAMPLE_TIME])
    quantity: int = Field(examples=[-3])
    reason: WriteDownReason
    note: str | None = None
    by: str


class StockView(BaseModel):
    """The stock of a reward: `added` = `left` + `reserved` + `redeemed` + `written_down`."""

    model_config = SHOWN
    reward_id: RewardId
    added: int
    left: int
    reserved: int = Field(
        description="Taken by redemptions that are not paid for yet, or about to be written down."
    )
    redeemed: int = Field(description="Paid for, and not given back since.")
    written_down: int
    written_down_for: dict[WriteDownReason, int] = Field(description="The same by reason.")
    slices: list[int] = Field(description="What is left in each slice.")
    corrections: list[WriteDownView] = Field(
        description="The last write-downs, newest first; 20 at most."
    )
