"""HTTP bodies of the members service."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from contracts.events import Channel

MEMBER_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
EMAIL = r"^[^@\s]{1,64}@[^@\s.]{1,63}(\.[^@\s.]{1,63})+$"
PHONE = r"^\+?[0-9][0-9 ()./-]{2,30}[0-9]$"
LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
PURPOSE = r"^[a-z][a-z0-9_]{0,39}$"
CODE = r"^[a-z][a-z0-9_]{0,39}$"
NO_CONTROLS = r"^[^\p{C}]*$"
MOST_CONSENTS = 20
EXAMPLE_TIME = "2026-03-01T09:30:00Z"
STRICT = ConfigDict(extra="forbid", strict=True)
SHOWN = ConfigDict(frozen=True)


def _rfc_3339(value: object) -> object:
    """Only a written date and time: pydantic would take numbers for seconds as well."""
    if isinstance(value, str) and value[4:5] == "-" and len(value) >= 20:
        return value
    raise PydanticCustomError("datetime_type", "must be a time with its zone")


def _iso_date(value: object) -> object:
    if isinstance(value, str) and len(value) == 10:
        return value
    raise ValueError("must be a date such as 1990-04-23")


def _plausible_birthday(day: date) -> date:
    if day.year < 1900 or day > date.today():  # noqa: DTZ011 - a day either way is harmless
        raise ValueError("must be a day since 1900 that has been")
    return day


def _trimmed(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank; send null to clear it")
    return text.strip()


def _distinct(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


MemberId = Annotated[str, Field(pattern=MEMBER_ID, examples=["M1"])]
Moment = Annotated[
    AwareDatetime,
    Field(strict=False, examples=[EXAMPLE_TIME], description="RFC 3339, with its offset."),
    BeforeValidator(_rfc_3339),
]
Text = Annotated[str, Field(max_length=200, pattern=NO_CONTROLS), AfterValidator(_trimmed)]
Word = Annotated[str, Field(max_length=64, pattern=NO_CONTROLS), AfterValidator(_trimmed)]
Birthday = Annotated[
    date,
    Field(strict=False, examples=["1990-04-23"]),
    BeforeValidator(_iso_date),
    AfterValidator(_plausible_birthday),
]
Purpose = Annotated[str, Field(pattern=PURPOSE)]


class FileFields(BaseModel):
    """What a member tells the club. Every field may be left out; null clears it."""

    model_config = STRICT
    name: Text | None = Field(None, examples=["Ana Lima"])
    email: Annotated[str, Field(pattern=EMAIL, max_length=254)] | None = Field(
        None, examples=["ana@example.com"]
    )
    phone: Annotated[str, Field(pattern=PHONE)] | None = Field(None, examples=["+1 555 0100"])
    birthday: Birthday | None = None
    household: Word | None = Field(None, examples=["Lima, Porto"])
    region: Word | None = Field(None, examples=["north"])
    language: Annotated[str, Field(pattern=LANGUAGE)] | None = Field(None, examples=["pt-PT"])
    culture: Word | None = None
    education: Word | None = None
    interests: Annotated[list[Word], Field(max_length=50), AfterValidator(_distinct)] | None = (
        Field(None, examples=[["coffee", "hiking"]])
    )
    consents: Annotated[dict[Purpose, bool | None], Field(max_length=MOST_CONSENTS)] | None = Field(
        None,
        examples=[{"newsletter": True}],
        description="Yes or no by purpose; purposes left out stay as they are, null forgets one.",
    )

    def given(self) -> dict[str, Any]:
        """The fields that were sent, as plain values."""
        return self.model_dump(mode="json", include=FILE_FIELDS, exclude_unset=True)


FILE_FIELDS = set(FileFields.model_fields)
FILE_EXAMPLE = {"name": "Ana Lima", "email": "ana@example.com", "consents": {"newsletter": True}}


class EnrolBody(FileFields):
    """Somebody joins the club, through a channel."""

    member_id: MemberId | None = Field(
        None, description="The brand's own id. Left out, one is made from the Idempotency-Key."
    )
    channel: Channel = Field(examples=["store"])
    enrolled_at: Moment | None = Field(
        None, description="For imports: when they joined, if not just now."
    )

    @model_validator(mode="after")
    def _nothing_to_clear(self) -> "EnrolBody":
        if self.consents and None in self.consents.values():
            raise ValueError("consents of a new member are true or false")
        return self

    def filled(self) -> dict[str, Any]:
        """The fields of the member file that were filled."""
        return {name: value for name, value in self.given().items() if value is not None}


ENROL_EXAMPLE = {"member_id": "M1", "channel": "store", **FILE_EXAMPLE}


class ProblemBody(BaseModel):
    """Why an item of a batch was refused; its `status` is what a single request would get."""

    model_config = ConfigDict(frozen=True, extra="allow")
    code: str = Field(examples=["already_enrolled"])
    detail: str
    status: int = Field(examples=[409])


class Receipt(BaseModel):
    """What became of one enrolment."""

    model_config = SHOWN
    status: Literal["accepted", "duplicate", "refused"] = Field(
        description="`duplicate`: enrolled before with the same content; nothing changed."
    )
    member_id: str | None = Field(None, examples=["M1"])
    channel: str | None = None
    enrolled_at: datetime | None = Field(None, examples=[EXAMPLE_TIME])
    problem: ProblemBody | None = None


class Receipts(BaseModel):
    """A receipt for each enrolment of the batch, in its order."""

    model_config = SHOWN
    results: list[Receipt]


class ConsentView(BaseModel):
    """Yes or no to a purpose, and when it was said."""

    model_config = SHOWN
    granted: bool
    at: datetime = Field(examples=[EXAMPLE_TIME])


class MemberView(BaseModel):
    """A member file (客户档案) with the member's tier and stage."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    channel: str = Field(examples=["store"])
    enrolled_at: datetime = Field(examples=[EXAMPLE_TIME])
    changed_at: datetime = Field(examples=[EXAMPLE_TIME])
    tier: str = Field(examples=["silver"])
    stage: str = Field(examples=["acceptance"])
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    birthday: date | None = None
    household: str | None = None
    region: str | None = None
    language: str | None = None
    culture: str | None = None
    education: str | None = None
    interests: list[str]
    consents: dict[str, ConsentView]
    completeness: int = Field(examples=[35], description="0 to 100, by the programme's weights.")
    missing: dict[str, int] = Field(
        examples=[{"birthday": 15}], description="What each empty field would add."
    )


class MemberItem(BaseModel):
    """A member in a list."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    name: str | None = Field(None, examples=["Ana Lima"])
    email: str | None = None
    phone: str | None = None
    tier: str = Field(examples=["silver"])
    stage: str = Field(examples=["acceptance"])
    channel: str = Field(examples=["store"])
    enrolled_at: datetime = Field(examples=[EXAMPLE_TIME])


class MemberList(BaseModel):
    """A page of members. It may be short and still have a `next`: few of very many matched."""

    model_config = SHOWN
    items: list[MemberItem]
    next: str | None = Field(None, description="The next page's cursor; absent on the last.")


class Summary(BaseModel):
    """How many enrolled members there are, by tier and stage."""

    model_config = SHOWN
    members: int = Field(examples=[2469])
    tiers: dict[str, int] = Field(examples=[{"member": 900, "silver": 950, "gold": 619}])
    stages: dict[str, int] = Field(
        examples=[
            {"need": 12, "awareness": 3, "acceptance": 700, "satisfaction": 1754, "loyalty": 0}
        ]
    )
    tier_stages: dict[str, dict[str, int]] = Field(
        examples=[{"gold": {"satisfaction": 600, "acceptance": 19}}]
    )
