"""HTTP bodies of holds."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.points.fields import (
    EXAMPLE_ID,
    EXAMPLE_TIME,
    SHOWN,
    STRICT,
    DeviceId,
    OccurredAt,
    Points,
    Wallet,
    Word,
)

HOLD_EXAMPLE = {"points": 300, "purpose": "table for two", "minutes": 15}
HoldId = Annotated[str, Field(examples=[f"hold_{EXAMPLE_ID}"])]


class HoldBody(BaseModel):
    """Points to set aside. `minutes` left out: as long as the programme says."""

    model_config = STRICT
    wallet: Wallet | None = None
    points: Points
    purpose: Annotated[Word, Field(examples=["table for two"])]
    minutes: Annotated[int, Field(ge=1, le=43_200, examples=[15])] | None = None
    device_id: DeviceId | None = None
    occurred_at: OccurredAt | None = None


class CaptureBody(BaseModel):
    """`points` left out: all that is held. What is not captured is released."""

    model_config = STRICT
    points: Points | None = None
    occurred_at: OccurredAt | None = None


class ReleaseBody(BaseModel):
    """Why the points are given back."""

    model_config = STRICT
    reason: Annotated[Word, Field(examples=["the table was cancelled"])] | None = None
    occurred_at: OccurredAt | None = None


class HoldView(BaseModel):
    """A hold that is open, or how it has just ended."""

    model_config = SHOWN
    hold_id: HoldId
    member_id: str = Field(examples=["M1"])
    wallet: str = Field(examples=["base"])
    points: int = Field(examples=[300], description="What was set aside.")
    purpose: str = Field(examples=["table for two"])
    until: datetime = Field(examples=[EXAMPLE_TIME], description="Then it ends by itself.")
    status: Literal["held", "captured", "released", "timed_out"]
    reward_id: str | None = Field(None, description="Of a redemption.")
    captured: int | None = Field(None, examples=[250])
    released: int | None = Field(None, examples=[50])
    expired: int | None = Field(
        None, examples=[0], description="Released after their last day, so expired at once."
    )
    balance: int | None = Field(None, examples=[1200], description="To spend, right after it.")


class HoldList(BaseModel):
    """The holds that are open; an account has at most 50."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    items: list[HoldView]
