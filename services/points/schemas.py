"""HTTP bodies of the points service."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FROZEN = ConfigDict(frozen=True, extra="forbid")
EXAMPLE_TIME = "2026-03-01T12:00:00Z"


class WalletBalance(BaseModel):
    """The points in one wallet."""

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    balance: int = Field(examples=[1250], description="Points. Negative only after returns.")


class BalancesBody(BaseModel):
    """A member's balances, now or as of a past time."""

    model_config = FROZEN
    member_id: str = Field(examples=["M1"])
    as_of: datetime = Field(examples=[EXAMPLE_TIME])
    entries: int = Field(examples=[17], description="How many entries the balances are made of.")
    wallets: list[WalletBalance]


class WalletChange(BaseModel):
    """What one entry did to one wallet."""

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    change: int = Field(examples=[120])
    balance: int = Field(examples=[1250], description="The wallet's balance after the entry.")


class StatementEntry(BaseModel):
    """One entry of the statement."""

    model_config = FROZEN
    entry_id: str = Field(examples=["M1-17"])
    kind: Literal["earn", "return"]
    activity_id: str = Field(description="The activity that led to it.")
    reverses: str | None = Field(None, description="The purchase whose earnings it takes back.")
    campaigns: list[str] = Field(examples=[["base"]])
    occurred_at: datetime = Field(examples=[EXAMPLE_TIME])
    posted_at: datetime = Field(examples=[EXAMPLE_TIME])
    changes: list[WalletChange]


class StatementBody(BaseModel):
    """A page of the statement, newest first."""

    model_config = FROZEN
    member_id: str
    items: list[StatementEntry]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")
