"""HTTP bodies of the points service."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.points import EntryKind

FROZEN = ConfigDict(frozen=True, extra="forbid")
EXAMPLE_TIME = "2026-03-01T12:00:00Z"


class Dated(BaseModel):
    """Points and the moment that something happens to them."""

    model_config = FROZEN
    at: datetime = Field(examples=[EXAMPLE_TIME])
    points: int = Field(examples=[300])


class WalletBalance(BaseModel):
    """The points in one wallet.

    `earned = balance + pending + held + spent + expired + returned`; what came by transfer or
    correction counts as earned, what went that way as spent. An `as_of` answer has the balance
    alone.
    """

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    balance: int = Field(examples=[1250], description="To spend. Negative only after returns.")
    pending: int | None = Field(default=None, examples=[80], description="Not yet to spend.")
    held: int | None = Field(default=None, examples=[0], description="Set aside by holds.")
    negative: int | None = Field(default=None, examples=[0], description="Next earnings fill it.")
    earned: int | None = Field(default=None, examples=[2000])
    spent: int | None = Field(default=None, examples=[600])
    expired: int | None = Field(default=None, examples=[50])
    returned: int | None = Field(default=None, examples=[20])
    expiring: list[Dated] | None = Field(
        default=None, description="The next three dates on which points expire."
    )
    opening: list[Dated] | None = Field(
        default=None, description="The next three dates on which points can be spent."
    )


class VestingSchedule(BaseModel):
    """A bonus that unlocks in instalments, each if the rule holds for the time before it."""

    model_config = FROZEN
    rule: str = Field(examples=["half_year"], description="The rule's name in the programme.")
    unlocks: list[Dated]


class WalletCalendar(BaseModel):
    """When the points of a wallet expire, open and vest, soonest first.

    What vests is not among `opening`: whether it unlocks depends on what the member does.
    """

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    expiring: list[Dated]
    opening: list[Dated]
    vesting: list[VestingSchedule]


class CalendarBody(BaseModel):
    """A member's dates, by wallet."""

    model_config = FROZEN
    member_id: str = Field(examples=["M1"])
    wallets: list[WalletCalendar]


class BalancesBody(BaseModel):
    """A member's balances, now or as of a past time."""

    model_config = FROZEN
    member_id: str = Field(examples=["M1"])
    as_of: datetime = Field(examples=[EXAMPLE_TIME])
    entries: int = Field(examples=[17], description="How many entries the balances are made of.")
    wallets: list[WalletBalance]


def _absent(value: object) -> bool:
    return value is None


class WalletChange(BaseModel):
    """What one entry did to one wallet. `pending` and `held` are there when they moved."""

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    change: int = Field(examples=[120])
    balance: int = Field(examples=[1250], description="The wallet's balance after the entry.")
    pending_change: int | None = Field(None, exclude_if=_absent, examples=[120])
    pending: int | None = Field(None, exclude_if=_absent, examples=[120])
    held_change: int | None = Field(None, exclude_if=_absent, examples=[-70])
    held: int | None = Field(None, exclude_if=_absent, examples=[0])


class StatementEntry(BaseModel):
    """One entry of the statement."""

    model_config = FROZEN
    entry_id: str = Field(examples=["M1-17"])
    kind: EntryKind = Field(examples=["earn"])
    text: str = Field(
        examples=["Purchase: +120 points, to spend from 19 January"],
        description="What happened, in the language asked for.",
    )
    activity_id: str = Field(description="The activity that led to it.")
    reverses: str | None = Field(None, description="The purchase whose earnings it takes back.")
    reward_id: str | None = Field(None, exclude_if=_absent, description="Of a redemption.")
    note: str | None = Field(None, exclude_if=_absent, description="The sender's, of a transfer.")
    campaigns: list[str] = Field(examples=[["base"]])
    occurred_at: datetime = Field(examples=[EXAMPLE_TIME])
    posted_at: datetime = Field(examples=[EXAMPLE_TIME])
    changes: list[WalletChange]


class StatementBody(BaseModel):
    """A page of the statement, newest first."""

    model_config = FROZEN
    member_id: str
    items: list[StatementEntry]
    next: str | None = Field(
        None,
        description="The next page's cursor; absent on the last. With a filter a page may have "
        "fewer lines than the limit, or none, and still a cursor.",
    )


class WalletStanding(BaseModel):
    """How a wallet stands."""

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    balance: int = Field(examples=[1250], description="To spend.")
    pending: int = Field(examples=[80], description="Not yet to spend.")
    held: int = Field(examples=[0], description="Set aside by holds.")


class KindTotal(BaseModel):
    """What all lines of one kind did to a wallet."""

    model_config = FROZEN
    kind: EntryKind = Field(examples=["earn"])
    name: str = Field(examples=["Earned"], description="In the language asked for.")
    wallet: str = Field(examples=["base"])
    lines: int = Field(examples=[4])
    change: int = Field(examples=[120])
    pending_change: int = Field(examples=[80])
    held_change: int = Field(examples=[0])


class WalletExpiring(BaseModel):
    """What expires next in a wallet, soonest first."""

    model_config = FROZEN
    wallet: str = Field(examples=["base"])
    dates: list[Dated]


class ExpiringBody(BaseModel):
    """The next dates on which points expire, as things stand when the statement is read."""

    model_config = FROZEN
    as_of: datetime = Field(examples=[EXAMPLE_TIME])
    wallets: list[WalletExpiring]


class MonthBody(BaseModel):
    """A page of a month's statement, oldest line first.

    For every wallet `opening` + all changes = `closing`. Opening, totals and closing are those of
    the page: a further page opens with what this one closes with.
    """

    model_config = FROZEN
    member_id: str = Field(examples=["M1"])
    month: str = Field(examples=["2026-03"])
    language: Literal["en", "zh"]
    starts_at: datetime = Field(examples=["2026-03-01T05:00:00Z"])
    ends_at: datetime = Field(examples=["2026-04-01T04:00:00Z"])
    final: bool = Field(
        description="The account has gone on in a later month: nothing here will change."
    )
    opening: list[WalletStanding]
    items: list[StatementEntry]
    totals: list[KindTotal]
    closing: list[WalletStanding]
    expiring: ExpiringBody
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")
