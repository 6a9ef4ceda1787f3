"""HTTP bodies of household pools."""

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
    Points,
    Wallet,
)

POOL = f"pool_{EXAMPLE_ID}"
Role = Literal["owner", "spender", "contributor"]
INVITE_EXAMPLE = {"member_id": "M2", "role": "spender"}
CONTRIBUTION_EXAMPLE = {"points": 300}
SPENDING_EXAMPLE = {"to": "M2", "points": 200}


class EmptyBody(BaseModel):
    """Nothing needs to be said: send `{}`."""

    model_config = STRICT


class InviteBody(BaseModel):
    """Whom to invite. A spender may also move points out of the pool."""

    model_config = STRICT
    member_id: Member
    role: Literal["spender", "contributor"] = "contributor"


class ContributionBody(BaseModel):
    """Points from one's own account into the pool."""

    model_config = STRICT
    wallet: Wallet | None = None
    points: Points
    device_id: DeviceId | None = None


class SpendingBody(BaseModel):
    """Points out of the pool, to one of its members (oneself, too), who may then redeem them."""

    model_config = STRICT
    to: Member
    wallet: Wallet | None = None
    points: Points
    note: Note | None = Field(None, description="For them. Kept apart from the ledger.")
    device_id: DeviceId | None = None


class WalletPoints(BaseModel):
    """Points in one wallet."""

    model_config = SHOWN
    wallet: str = Field(examples=["base"])
    points: int = Field(examples=[900])


class PoolMemberView(BaseModel):
    """Somebody in the pool, or invited to it."""

    model_config = SHOWN
    member_id: str = Field(examples=["M2"])
    role: Role
    status: Literal["invited", "joined"]
    contributed: int = Field(examples=[300])
    fair_share: list[WalletPoints] = Field(description="What they would take home by leaving now.")


class PoolView(BaseModel):
    """A pool: who is in it, and what it holds."""

    model_config = SHOWN
    pool_id: str = Field(examples=[POOL])
    members: list[PoolMemberView]
    wallets: list[WalletPoints]


class LeftView(BaseModel):
    """Somebody has left; their fair share is on its way to their account."""

    model_config = SHOWN
    pool_id: str = Field(examples=[POOL])
    member_id: str = Field(examples=["M2"])
    left_at: datetime = Field(examples=[EXAMPLE_TIME])
    taken_home: list[WalletPoints]


class PoolItem(BaseModel):
    """A pool that a member is in, or invited to."""

    model_config = SHOWN
    pool_id: str = Field(examples=[POOL])
    role: Role
    status: Literal["invited", "joined"]


class PoolList(BaseModel):
    """A page of a member's pools. What changes is here a moment later."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    items: list[PoolItem]
    next: Annotated[str | None, Field(description="The next page's cursor.")] = None
