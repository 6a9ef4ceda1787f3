"""HTTP bodies of vouchers. Money in integer minor units of the programme's currency."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.points.domain.codes import MOST_WRITTEN

MEMBER_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
SERIES_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"
VOUCHER_ID = r"^vch_[a-z2-7]{26}$"
REDEMPTION_ID = r"^red_[0-9a-f]{32}$"
WORD = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
CURRENCY = r"^[A-Z]{3}$"
NO_CONTROLS = r"^[^\p{C}]*$"
MOST_MONEY = 10**10
MOST_VOUCHERS = 10**8
MOST_VALUE = 10**15
MOST_IMPORTED = 1_000
EXAMPLE_TIME = "2026-03-01T09:30:00Z"
EXAMPLE_CODE = "7K3M-9QXZ-0D4T-V8WA-PE2C"
EXAMPLE_ID = "vch_5cpli2znqhbkbhmuc72l73sx4e"
STRICT = ConfigDict(extra="forbid", strict=True)
SHOWN = ConfigDict(frozen=True)


def _rfc_3339(value: object) -> object:
    if isinstance(value, str) and value[4:5] == "-" and len(value) >= 20:
        return value
    raise PydanticCustomError("datetime_type", "must be a time with its zone")


Moment = Annotated[
    AwareDatetime,
    Field(strict=False, examples=[EXAMPLE_TIME], description="RFC 3339, with its offset."),
    BeforeValidator(_rfc_3339),
]
Money = Annotated[int, Field(ge=1, le=MOST_MONEY)]
Word = Annotated[str, Field(pattern=WORD)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_CONTROLS)]
Kind = Literal["value", "percentage", "product", "service"]
Status = Literal["open", "redeemed", "cancelled", "expired"]
SERIES_EXAMPLE = {
    "name": "Ten off in spring",
    "kind": "value",
    "amount": 1000,
    "valid_days": 90,
    "most_vouchers": 5000,
    "partners": ["north-stores"],
    "minimum_basket": 3000,
}


class WorthFields(BaseModel):
    """What a voucher is worth: the fields that go with its kind."""

    kind: Kind = Field(examples=["value"])
    amount: Money | None = Field(None, examples=[1000], description="`value`: minor units.")
    percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="`percentage`: of the basket, rounded down to a minor unit."
    )
    most_discount: Money | None = Field(None, description="`percentage`: at most this much.")
    sku: Word | None = Field(None, description="`product`: what is given.")
    service: Word | None = Field(None, description="`service`: what is done.")
    cost: Money | None = Field(None, description="`product`, `service`: what one costs you.")


class SeriesBody(WorthFields):
    """A series of vouchers. Kind, worth, source of codes and partial use never change."""

    model_config = STRICT
    name: Text = Field(examples=["Ten off in spring"])
    codes: Literal["generated", "imported"] = "generated"
    valid_from: Moment | None = None
    valid_until: Moment | None = Field(None, description="No voucher is valid from then on.")
    valid_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None, description="Days after issue; the earlier of the two ends counts."
    )
    most_vouchers: Annotated[int, Field(ge=1, le=MOST_VOUCHERS)] | None = Field(
        None, description="The budget in vouchers. It can be raised, not lowered."
    )
    most_value: Annotated[int, Field(ge=1, le=MOST_VALUE)] | None = Field(
        None, description="The budget in money: what all vouchers together may cost."
    )
    partners: Annotated[list[Word], Field(max_length=200)] = Field(
        [], description="Who may redeem; none named: every partner."
    )
    combinable: bool = Field(False, description="Beside another voucher in one basket.")
    partial: bool = Field(False, description="`value`: in parts, until nothing remains.")
    minimum_basket: Annotated[int, Field(ge=0, le=MOST_MONEY)] = 0
    closed: bool = Field(False, description="Issues nothing; what was issued stays valid.")


class CountsView(BaseModel):
    """How many vouchers of a series there are; at most a minute old."""

    model_config = SHOWN
    issued: int = Field(examples=[1200], description="All that members were given.")
    open: int = Field(examples=[700])
    redeemed: int = Field(examples=[450])
    cancelled: int = Field(examples=[10])
    expired: int = Field(examples=[40])
    waiting: int = Field(examples=[0], description="Imported codes that are not issued yet.")
    value_outstanding: int | None = Field(
        examples=[700000], description="What the open ones may still cost; null: not known."
    )
    counted_at: datetime = Field(examples=[EXAMPLE_TIME])


class SeriesView(WorthFields):
    """A series as it stands."""

    model_config = SHOWN
    series_id: str = Field(examples=["spring-10"])
    version: int = Field(examples=[1])
    name: str
    currency: str = Field(examples=["USD"])
    codes: Literal["generated", "imported"]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    valid_days: int | None = None
    most_vouchers: int | None = None
    most_value: int | None = None
    budget: int | None = Field(None, description="How many vouchers the two limits allow.")
    partners: list[str]
    combinable: bool
    partial: bool
    minimum_basket: int
    closed: bool
    counts: CountsView


class SeriesList(BaseModel):
    """A page of series."""

    model_config = SHOWN
    items: list[SeriesView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class CodesBody(BaseModel):
    """Codes from elsewhere, as they are printed."""

    model_config = STRICT
    codes: Annotated[
        list[Annotated[str, Field(max_length=MOST_WRITTEN)]],
        Field(min_length=1, max_length=MOST_IMPORTED, examples=[["SPRING-4711", "SPRING-4712"]]),
    ]


class CodeReceipt(BaseModel):
    """What became of a code; they come in the order in which they were sent."""

    model_config = SHOWN
    status: Literal["imported", "duplicate", "refused"]
    code: str | None = Field(None, description="Of a refusal: why.", examples=["code_taken"])
    detail: str | None = None


class CodeReceipts(BaseModel):
    """A receipt for each code."""

    model_config = SHOWN
    imported: int
    results: list[CodeReceipt]


class IssueBody(BaseModel):
    """Give a member a voucher."""

    model_config = STRICT
    series_id: Annotated[str, Field(pattern=SERIES_ID, examples=["spring-10"])]
    reason: Text | None = Field(None, examples=["Order 4711 came late"])


class VoucherView(WorthFields):
    """A voucher. Its owner sees the whole code, everybody else the last four characters."""

    model_config = SHOWN
    voucher_id: str = Field(examples=[EXAMPLE_ID])
    series_id: str = Field(examples=["spring-10"])
    member_id: str = Field(examples=["M1"])
    status: Status
    code: str | None = Field(None, examples=[EXAMPLE_CODE])
    ending: str = Field(examples=["PE2C"], description="The last four characters of the code.")
    currency: str = Field(examples=["USD"])
    remaining: int | None = Field(None, description="`value`: what is left, in minor units.")
    issued_at: datetime = Field(examples=[EXAMPLE_TIME])
    valid_from: datetime = Field(examples=[EXAMPLE_TIME])
    expires_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    ended_at: datetime | None = Field(None, description="When redeemed, cancelled or expired.")
    minimum_basket: int
    combinable: bool
    partial: bool


class VoucherList(BaseModel):
    """A page of a member's vouchers, the newest first."""

    model_config = SHOWN
    member_id: str
    items: list[VoucherView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class BasketBody(BaseModel):
    """What is being paid."""

    model_config = STRICT
    amount: Money = Field(examples=[4599], description="Minor units, before the voucher.")
    currency: Annotated[str, Field(pattern=CURRENCY, examples=["USD"])]


class ShowBody(BaseModel):
    """A code at a till, and the basket it is for."""

    model_config = STRICT
    code: Annotated[str, Field(min_length=1, max_length=MOST_WRITTEN, examples=[EXAMPLE_CODE])]
    basket: BasketBody | None = Field(None, description="Needed unless the voucher is for an item.")
    others: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="How many other vouchers are in the same basket."
    )
    amount: Money | None = Field(
        None, description="Of a voucher for use in parts: use so much; else as much as it can."
    )


class RedeemBody(ShowBody):
    """Use a voucher at a till."""

    till: Word | None = Field(None, examples=["store-12:3"])


class UseView(WorthFields):
    """What a voucher does to the basket."""

    model_config = SHOWN
    voucher_id: str = Field(examples=[EXAMPLE_ID])
    series_id: str = Field(examples=["spring-10"])
    currency: str = Field(examples=["USD"])
    discount: int | None = Field(examples=[1000], description="Off the basket; null for an item.")
    remaining: int = Field(examples=[0], description="Of its value, after this.")
    combinable: bool
    expires_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])


class RedemptionView(UseView):
    """A redemption; `redemption_id` undoes it."""

    redemption_id: str = Field(examples=["red_0af7651916cd43dd8448eb211c80319c"])
    redeemed_at: datetime = Field(examples=[EXAMPLE_TIME])
    undoable_until: datetime = Field(examples=[EXAMPLE_TIME])


class UndoBody(BaseModel):
    """Which redemption was a mistake."""

    model_config = STRICT
    redemption_id: Annotated[
        str,
        Field(pattern=REDEMPTION_ID, examples=["red_0af7651916cd43dd8448eb211c80319c"]),
    ]


class CancelBody(BaseModel):
    """Why a voucher is made void."""

    model_config = STRICT
    reason: Text = Field(examples=["Issued twice by mistake"])
