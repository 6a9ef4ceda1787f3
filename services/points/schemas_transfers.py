"""HTTP bodies of transfers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.points.fields import (
    EXAMPLE_ID,
    EXAMPLE_TIME,
    SHOWN,
    STRICT,
    DeviceId,
    Member,
    Note,
    OccurredAt,
    Points,
    Wallet,
)

TRANSFER_EXAMPLE = {"to": "M2", "points": 300, "note": "Happy birthday"}
Status = Literal["offered", "arriving", "accepted", "declined", "withdrawn", "timed_out"]


class TransferBody(BaseModel):
    """Points for another member, who then accepts or declines them."""

    model_config = STRICT
    to: Member
    wallet: Wallet | None = None
    points: Points
    note: Note | None = Field(None, description="For the receiver. Kept apart from the ledger.")
    device_id: DeviceId | None = None
    occurred_at: OccurredAt | None = None


class DecisionBody(BaseModel):
    """Whose transfer it is, as the list of what was received says."""

    model_config = STRICT
    sender: Annotated[Member, Field(examples=["M1"])]
    occurred_at: OccurredAt | None = None


class WithdrawBody(BaseModel):
    """Nothing is needed to take an offer back."""

    model_config = STRICT


class TransferView(BaseModel):
    """A transfer. Until it is accepted the points are with neither member.

    `arriving`: it needs no acceptance (pools) and is about to be there.
    """

    model_config = SHOWN
    transfer_id: str = Field(examples=[f"transfer_{EXAMPLE_ID}"])
    sender: str = Field(examples=["M1"], description="A member, or a pool as `@pool_…`.")
    receiver: str = Field(examples=["M2"])
    wallet: str = Field(examples=["base"])
    points: int = Field(examples=[300])
    status: Status
    sent_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    until: datetime | None = Field(
        None, examples=[EXAMPLE_TIME], description="Not accepted by then, the points go back."
    )
    ended_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    note: str | None = Field(None, examples=["Happy birthday"])
    expired: int | None = Field(
        None, examples=[0], description="Of what was accepted: past its last day on arrival."
    )
    balance: int | None = Field(
        None, examples=[1200], description="Right after an action: what its member can spend."
    )


class TransferList(BaseModel):
    """A page of transfers, newest first. They are listed a moment after they were made."""

    model_config = SHOWN
    member_id: str = Field(examples=["M2"])
    items: list[TransferView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")
