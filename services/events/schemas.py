"""HTTP bodies of the events service. Money is in integer minor units of the club's currency."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from contracts.events import Channel

MOST_AMOUNT = 10**12
MOST_LINES = 500
MOST_ATTRIBUTES = 20
MOST_INTEGER = 2**53 - 1
MEMBER_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
SOURCE = r"^[a-z0-9][a-z0-9_.-]{0,31}$"
EXTERNAL_ID = r"^[^\s/\p{C}\p{Z}]{1,128}$"
ACTIVITY_ID = r"^act_[a-z2-7]{24}$"
ATTRIBUTE = r"^[a-z][a-z0-9_]{0,39}$"
EXAMPLE_TIME = "2026-03-01T09:30:00Z"

MemberId = Annotated[str, Field(pattern=MEMBER_ID, examples=["M1"])]
Source = Annotated[
    str, Field(pattern=SOURCE, examples=["pos"], description="The system it comes from.")
]
ExternalId = Annotated[
    str,
    Field(
        pattern=EXTERNAL_ID,
        examples=["2026-0301-4711"],
        description="That system's own id; with `source` it makes the activity one of its kind.",
    ),
]
ActivityId = Annotated[str, Field(pattern=ACTIVITY_ID, examples=["act_5cpli2znqhbkbhmuc72l73sx"])]


def _rfc_3339(value: object) -> object:
    """Only a written date and time: pydantic would take numbers for seconds as well."""
    if isinstance(value, str) and value[4:5] == "-" and len(value) >= 20:
        return value
    raise PydanticCustomError("datetime_type", "must be a time with its zone")


Moment = Annotated[
    AwareDatetime,
    Field(strict=False, examples=[EXAMPLE_TIME], description="RFC 3339, with its offset."),
    BeforeValidator(_rfc_3339),
]
Label = Annotated[str, Field(min_length=1, max_length=128)]
Amount = Annotated[
    int, Field(ge=0, le=MOST_AMOUNT, examples=[1299], description="Minor units: 1299 is 12.99.")
]
AtLeastOne = Annotated[int, Field(ge=1, le=MOST_AMOUNT, examples=[500])]
LineNumber = Annotated[int, Field(ge=1, le=1_000_000, examples=[1])]
Quantity = Annotated[int, Field(ge=0, le=1_000_000_000)]
Whole = Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER)]
Text = Annotated[str, Field(max_length=256)]
AttributeName = Annotated[str, Field(pattern=ATTRIBUTE)]

STRICT = ConfigDict(extra="forbid", strict=True)


class Line(BaseModel):
    """One line of a basket; `amount` is what was paid for the whole line."""

    model_config = STRICT
    line: LineNumber | None = Field(None, description="By default its place, counted from 1.")
    amount: Amount
    sku: Label | None = None
    quantity: Quantity = 1
    category: Label | None = None


class PurchaseRef(BaseModel):
    """The purchase that a return is of: its `activity_id`, or the id its own system gave it."""

    model_config = STRICT
    activity_id: ActivityId | None = None
    source: Source | None = Field(None, description="By default the return's own source.")
    external_id: ExternalId | None = None

    @model_validator(mode="after")
    def _one_way_only(self) -> "PurchaseRef":
        by_id, by_system = self.activity_id is not None, self.external_id is not None
        if by_id == by_system or (by_id and self.source is not None):
            raise ValueError("must name the purchase by `activity_id`, or else by `external_id`")
        return self


class ReturnLine(BaseModel):
    """A line that comes back; without an `amount`, all that is left of it."""

    model_config = STRICT
    line: LineNumber
    amount: AtLeastOne | None = None


class Recorded(BaseModel):
    """What every activity says."""

    model_config = STRICT
    member_id: MemberId
    source: Source
    external_id: ExternalId
    channel: Channel
    occurred_at: Moment
    store: Label | None = Field(None, examples=["0042"])


class PurchaseBody(Recorded):
    """A purchase. The amounts of its lines sum to `amount`; either may be left out."""

    type: Literal["purchase"]
    amount: Amount | None = None
    lines: Annotated[list[Line], Field(max_length=MOST_LINES, validate_default=True)] = []

    @field_validator("lines")
    @classmethod
    def _add_up(cls, lines: list[Line], info: ValidationInfo) -> list[Line]:
        amount = info.data.get("amount")
        if not lines:
            if amount is None and "amount" in info.data:
                raise ValueError("are needed when there is no `amount`")
            return lines
        paid = sum([line.amount for line in lines])
        if amount is not None and amount != paid:
            raise ValueError(f"sum to {paid}, but the amount is {amount}")
        if paid > MOST_AMOUNT:
            raise ValueError(f"sum to more than {MOST_AMOUNT}")
        _refuse_repeated([line.line or place for place, line in enumerate(lines, 1)])
        return lines


class ReturnBody(Recorded):
    """A return, in whole or in part. Without `lines`, all that is left of the purchase.

    It may arrive before its purchase: then it waits for it.
    """

    type: Literal["return"]
    purchase: PurchaseRef
    lines: Annotated[list[ReturnLine], Field(max_length=MOST_LINES)] = []

    @field_validator("lines")
    @classmethod
    def _named_once(cls, lines: list[ReturnLine]) -> list[ReturnLine]:
        _refuse_repeated([line.line for line in lines])
        return lines


class ContactBody(Recorded):
    """The member met the brand. `subject` says with what: an article, a product, a campaign."""

    type: Literal["visit", "app_open", "content_view", "wish", "share"]
    subject: Label | None = Field(None, examples=["article/spring-menu"])


class ReviewBody(Recorded):
    """The member gave a rating from 1 to 5."""

    type: Literal["review"]
    rating: Annotated[int, Field(ge=1, le=5)]
    subject: Label | None = None


def _few(attributes: dict[str, Any]) -> dict[str, Any]:
    if len(attributes) > MOST_ATTRIBUTES:
        raise ValueError(f"must have at most {MOST_ATTRIBUTES} attributes")
    return attributes


class CustomBody(Recorded):
    """Anything else a brand wants to know of; `subject` names it."""

    type: Literal["custom"]
    subject: Label = Field(examples=["quiz_finished"])
    attributes: Annotated[dict[AttributeName, Text | bool | Whole], AfterValidator(_few)] = {}


ActivityBody = Annotated[
    PurchaseBody | ReturnBody | ContactBody | ReviewBody | CustomBody,
    Field(discriminator="type"),
]
activity_body: TypeAdapter[Any] = TypeAdapter(ActivityBody)

_BODIES = ("PurchaseBody", "ReturnBody", "ContactBody", "ReviewBody", "CustomBody")
PURCHASE_EXAMPLE = {
    "type": "purchase",
    "member_id": "M1",
    "source": "pos",
    "external_id": "2026-0301-4711",
    "channel": "store",
    "occurred_at": EXAMPLE_TIME,
    "store": "0042",
    "lines": [
        {"amount": 1299, "sku": "4006381333931", "category": "stationery"},
        {"amount": 450, "sku": "5449000000996", "quantity": 3, "category": "drinks"},
    ],
}
RETURN_EXAMPLE = {
    "type": "return",
    "member_id": "M1",
    "source": "pos",
    "external_id": "2026-0302-0007",
    "channel": "store",
    "occurred_at": "2026-03-02T14:10:00Z",
    "purchase": {"external_id": "2026-0301-4711"},
    "lines": [{"line": 2, "amount": 150}],
}
BATCH_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["activities"],
                "additionalProperties": False,
                "properties": {
                    "activities": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1000,
                        "items": {
                            "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in _BODIES]
                        },
                    }
                },
            },
            "example": {"activities": [PURCHASE_EXAMPLE, RETURN_EXAMPLE]},
        }
    },
}


def _refuse_repeated(lines: list[int]) -> None:
    if len(set(lines)) != len(lines):
        repeated = sorted({line for line in lines if lines.count(line) > 1})
        raise ValueError(f"name a line more than once: {repeated[:5]}")


class ProblemBody(BaseModel):
    """Why an item was refused: a problem document without its HTTP parts."""

    model_config = ConfigDict(frozen=True, extra="allow")
    code: str = Field(examples=["return_exceeds_purchase"])
    detail: str
    status: int = Field(examples=[409], description="What the single endpoint would answer.")


class Receipt(BaseModel):
    """What became of one activity."""

    model_config = ConfigDict(frozen=True)
    status: Literal["accepted", "duplicate", "refused"] = Field(
        description="`duplicate`: it was recorded before with the same content; nothing changed."
    )
    activity_id: ActivityId | None = None
    seq: int | None = Field(None, examples=[17], description="Its place among the member's own.")
    problem: ProblemBody | None = None


class Receipts(BaseModel):
    """A receipt for each activity of the batch, in its order."""

    model_config = ConfigDict(frozen=True)
    results: list[Receipt]


class ReturnedLineView(BaseModel):
    """A line that came back: its price, and the returned total before and after."""

    model_config = ConfigDict(frozen=True)
    line: int
    amount: int
    before: int
    after: int


class ReturnedView(BaseModel):
    """What a return took back."""

    model_config = ConfigDict(frozen=True)
    activity_id: ActivityId = Field(description="The purchase.")
    amount: int
    full: bool = Field(description="Whether nothing of the purchase is kept.")
    lines: list[ReturnedLineView]


class LineView(BaseModel):
    """One line of a basket."""

    model_config = ConfigDict(frozen=True)
    line: int
    amount: int
    sku: str | None = None
    quantity: int = 1
    category: str | None = None


class ActivityView(BaseModel):
    """One activity of a member. `return_matched`: a return has found its purchase."""

    model_config = ConfigDict(frozen=True)
    activity_id: ActivityId
    member_id: str
    seq: int
    type: str = Field(examples=["purchase"])
    occurred_at: datetime = Field(examples=[EXAMPLE_TIME])
    posted_at: datetime = Field(examples=[EXAMPLE_TIME])
    source: str | None = None
    external_id: str | None = None
    channel: str | None = None
    store: str | None = None
    amount: int | None = None
    lines: list[LineView] | None = None
    rating: int | None = None
    subject: str | None = None
    attributes: dict[str, str | int | bool] | None = None
    purchase: ActivityId | None = Field(None, description="The purchase that a return is of.")
    returned: ReturnedView | None = Field(
        None, description="Absent while a return waits for its purchase."
    )


class Timeline(BaseModel):
    """A page of a member's activities, newest first."""

    model_config = ConfigDict(frozen=True)
    member_id: str
    items: list[ActivityView]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class AsOfView(BaseModel):
    """The member as the decision saw them."""

    model_config = ConfigDict(frozen=True)
    tier: str
    stage: str
    value_class: str | None = None
    card_seq: int = Field(description="The last activity that the card had taken into account.")
    waited: bool = Field(description="False: there was no time to wait for a newer card.")


class ConsideredView(BaseModel):
    """A campaign that was looked at, and the part of its condition that did not hold."""

    model_config = ConfigDict(frozen=True)
    campaign_id: str
    matched: bool
    failed: str | None = Field(None, examples=["activity.amount > 0"])


class GrantView(BaseModel):
    """Points granted into one wallet."""

    model_config = ConfigDict(frozen=True)
    campaign_id: str
    wallet: str
    points: int


class DecisionView(BaseModel):
    """Why an activity earned what it earned, or what it waits for."""

    model_config = ConfigDict(frozen=True)
    activity_id: ActivityId
    member_id: str
    seq: int
    status: Literal["granted", "withheld", "returned", "waiting"]
    reason: str | None = Field(None, examples=["card_behind"])
    explanation: str | None = None
    decided_at: datetime | None = None
    revision: str | None = Field(None, description="The programme it was decided by.")
    as_of: AsOfView | None = None
    considered: list[ConsideredView] | None = None
    grants: list[GrantView] | None = None
    returned: ReturnedView | None = None
