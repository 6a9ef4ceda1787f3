"""HTTP bodies of redemptions."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from services.points.domain.redemptions import Status
from services.points.fields import OccurredAt
from services.points.rewards.schemas import EXAMPLE_TIME, SHOWN, STRICT, Code, RewardId

REDEMPTION_ID = r"^rdm_[a-z2-7]{24}$"
EXAMPLE_ID = "rdm_5cpli2znqhbkbhmuc72l73sx"
MOST_AT_ONCE = 10


class RedeemBody(BaseModel):
    """What a member wants."""

    model_config = STRICT
    reward_id: RewardId
    quantity: int = Field(1, ge=1, le=MOST_AT_ONCE)
    wallet: Code | None = Field(
        None, description="Which of the prices to pay; absent: the first.", examples=["base"]
    )
    confirm: bool = Field(
        True,
        description="False only reserves it, to be confirmed later: at a till, or once the money "
        "part is paid. A reservation that nobody confirms expires.",
    )
    occurred_at: OccurredAt | None = None
    device_id: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{8,128}$",
        examples=["3f1c9a52-phone"],
        description="The device it is asked from; only a digest is kept.",
    )


REDEEM_EXAMPLE: dict[str, Any] = {"reward_id": "coffee-mug", "quantity": 1}


class CancelBody(BaseModel):
    """Why it is cancelled."""

    model_config = STRICT
    reason: str = Field(
        min_length=1, max_length=200, pattern=r"^[^\p{C}]*$", examples=["Changed their mind"]
    )
    occurred_at: OccurredAt | None = None


class RedemptionView(BaseModel):
    """A redemption: reserved → confirmed → fulfilled, or cancelled; a reservation may expire."""

    model_config = SHOWN
    redemption_id: str = Field(pattern=REDEMPTION_ID, examples=[EXAMPLE_ID])
    member_id: str = Field(examples=["M1"], description="Whom it is for.")
    pool_id: str | None = Field(None, description="The household pool that pays; absent: none.")
    reward_id: RewardId
    quantity: int
    wallet: str = Field(examples=["base"])
    points: int = Field(examples=[800], description="What all of it costs in points.")
    money: int = Field(0, description="And in money, minor units.")
    status: Status
    reserved_at: datetime = Field(examples=[EXAMPLE_TIME])
    reserved_until: datetime = Field(examples=[EXAMPLE_TIME])
    confirmed_at: datetime | None = None
    ended_at: datetime | None = Field(None, description="When it was fulfilled or cancelled.")
    reason: str | None = Field(None, description="Why it was cancelled.")


class PoolRedemptionList(BaseModel):
    """A page of a household pool's redemptions, newest first."""

    model_config = SHOWN
    pool_id: str
    items: list[RedemptionView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class RedemptionList(BaseModel):
    """A page of a member's redemptions, newest first."""

    model_config = SHOWN
    member_id: str
    items: list[RedemptionView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")
