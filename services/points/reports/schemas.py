"""HTTP bodies of the reports. Points are whole numbers, money is in minor units."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Month = Field(examples=["2026-03"], description="In the programme's time zone.")


class MovementLine(BaseModel):
    """opening + issued - returned - redeemed + cancelled - expired - forfeited + unexpired
    + adjusted + compensated + transferred = closing + difference.
    """

    month: str = Month
    wallet: str = Field(examples=["base"])
    opening: int = Field(description="What accounts held when the month began.")
    issued: int = Field(description="Earned by activities.")
    returned: int = Field(description="Taken back with returned purchases.")
    redeemed: int
    cancelled: int = Field(description="Given back with cancelled redemptions.")
    expired: int
    forfeited: int = Field(description="Bonuses that did not vest.")
    unexpired: int = Field(description="Expired points that a return took back.")
    adjusted: int = Field(description="Corrections by hand, either way.")
    compensated: int = Field(description="Given to make up for something.")
    transferred: int = Field(
        description="Points on their way between accounts: below zero, they have left the one and "
        "not reached the other."
    )
    closing: int = Field(description="What accounts held by their own balances when it ended.")
    difference: int = Field(description="0, or the ledger is damaged.")
    closed: bool = Field(description="By booking, and over: nothing in it will change.")


class MovementBody(BaseModel):
    """The movement of points by month and wallet."""

    as_of: datetime
    by: Literal["value", "booking"]
    time_zone: str = Field(examples=["Europe/Berlin"])
    rows: list[MovementLine]


class WalletLiabilityBody(BaseModel):
    wallet: str = Field(examples=["base"])
    outstanding: int = Field(description="Active, pending and held points and those in transit.")
    negative: int = Field(description="Balances below zero, which are not set off.")
    difference: int = Field(description="Lots less recorded balances: 0, or damage.")
    gross: int = Field(description="Cost of all outstanding points.")
    net: int = Field(description="Less expected breakage, where there is a history of it.")
    net_low: int
    net_high: int
    rate: float | None = Field(
        description="Share of credited points that expired, of dated lots whose life is over; "
        "absent when there is none."
    )
    rate_low: float | None = Field(description="Its 95 % interval.")
    rate_high: float | None
    learnt_from_accounts: int
    learnt_from_points: int
    expired_points: int


class LiabilityLine(BaseModel):
    wallet: str = Field(examples=["base"])
    rule: Literal["dated", "sliding", "never"] = Field(description="How these points expire.")
    month: str | None = Field(examples=["2026-12"], description="Month of the last good day.")
    active: int
    pending: int
    held: int
    in_transit: int = Field(description="On their way between two accounts.")
    outstanding: int
    gross: int
    breakage: int | None = Field(
        description="Points expected to expire; absent without a history, then net is gross."
    )
    breakage_low: int | None
    breakage_high: int | None
    net: int
    net_low: int
    net_high: int


class LiabilityBody(BaseModel):
    """Outstanding points and what they cost."""

    as_of: datetime
    time_zone: str = Field(examples=["Europe/Berlin"])
    currency: str = Field(examples=["EUR"])
    cost_per_point: str = Field(examples=["0.5"], description="Exact, in minor units.")
    rounding: str
    wallets: list[WalletLiabilityBody]
    rows: list[LiabilityLine]


class AlertBody(BaseModel):
    kind: Literal["issuance", "difference"] = Field(
        description="`issuance`: more points came into being on a day than the programme allows. "
        "`difference`: a report does not reconcile."
    )
    when: str = Field(examples=["2026-03-01"], description="Day; or month, or `lots`.")
    wallet: str = Field(examples=["base"])
    by_value: int = Field(description="Points of what happened on that day.")
    by_booking: int = Field(description="Points of what was booked on that day.")
    limit: int | None
    noticed_at: datetime


class NetIssuanceLine(BaseModel):
    day: str = Field(examples=["2026-03-01"])
    wallet: str = Field(examples=["base"])
    by_value: int
    by_booking: int


class AlertsBody(BaseModel):
    """Alerts, newest first, and the net issuance of the newest business days."""

    as_of: datetime
    time_zone: str = Field(examples=["Europe/Berlin"])
    limit: int | None = Field(description="Points a business day and wallet; absent: no limit.")
    alerts: list[AlertBody]
    left_out: int = Field(description="How many older alerts are not shown.")
    days: list[NetIssuanceLine]
