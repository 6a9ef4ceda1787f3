"""HTTP bodies of manual corrections."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.points.fields import (
    CODE,
    EXAMPLE_ID,
    EXAMPLE_TIME,
    SHOWN,
    STRICT,
    Change,
    Note,
    OccurredAt,
    Wallet,
)

ADJUSTMENT_EXAMPLE = {"points": 300, "reason": "goodwill", "note": "Delivery was late"}
Status = Literal["open", "booked", "rejected"]
WaitsBecause = Literal["amount", "daily_limit"]


class AdjustmentBody(BaseModel):
    """Points to give (more than 0) or to take (less). `reason` is one of the programme's."""

    model_config = STRICT
    wallet: Wallet | None = Field(None, description="Any wallet, `tier` too.")
    points: Change
    reason: Annotated[str, Field(pattern=CODE, examples=["goodwill"])]
    note: Note | None = Field(None, description="For colleagues. Kept apart from the ledger.")
    occurred_at: OccurredAt | None = None


class ApproveBody(BaseModel):
    """Nothing needs to be said: send `{}`."""

    model_config = STRICT


class RejectBody(BaseModel):
    """Why the points are not moved."""

    model_config = STRICT
    reason: Note


class AdjustmentView(BaseModel):
    """A correction (`booked`), or the request for one that waits for a second person (`open`)."""

    model_config = SHOWN
    request_id: str = Field(examples=[f"adjustment_{EXAMPLE_ID}"])
    member_id: str = Field(examples=["M1"])
    wallet: str = Field(examples=["base"])
    points: int = Field(examples=[300])
    reason: str = Field(examples=["goodwill"])
    status: Status
    waits_because: WaitsBecause | None = Field(
        None,
        description="Of an open one. `amount`: it is above `alone_up_to`. `daily_limit`: with it, "
        "who asks would have corrected more alone within 24 hours than `alone_up_to_in_a_day`.",
    )
    asked_by: str = Field(examples=["agent-7"])
    asked_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    decided_by: str | None = Field(None, examples=["agent-8"])
    decided_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    rejected_because: str | None = None
    note: str | None = Field(None, examples=["Delivery was late"])
    balance: int | None = Field(None, examples=[1550], description="Right after it was booked.")


class AdjustmentList(BaseModel):
    """A page of corrections and requests, newest first; a moment behind."""

    model_config = SHOWN
    items: list[AdjustmentView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")
