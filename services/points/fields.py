"""The fields that requests about points have in common."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MEMBER_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CODE = r"^[a-z][a-z0-9_]{0,39}$"
ID = r"^[a-z]+_[a-z2-7]{24}$"
NO_CONTROLS = r"^[^\p{C}]*$"
MOST_POINTS = 2**53 - 1
EXAMPLE_TIME = "2026-03-01T12:00:00Z"
EXAMPLE_ID = "2bq4ls7zkxv5tmo3yhw6ndce"
STRICT = ConfigDict(extra="forbid", strict=True)
SHOWN = ConfigDict(frozen=True)


def _rfc_3339(value: object) -> object:
    """Only a written date and time: pydantic would take numbers for seconds as well."""
    if isinstance(value, str) and value[4:5] == "-" and len(value) >= 20:
        return value
    raise PydanticCustomError("datetime_type", "must be a time with its zone")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank; leave it out")
    return text.strip()


def _not_zero(points: int) -> int:
    if not points:
        raise ValueError("must not be 0: more than 0 gives points, less takes them")
    return points


Member = Annotated[str, Field(pattern=MEMBER_ID, examples=["M2"])]
Wallet = Annotated[
    str,
    Field(pattern=CODE, examples=["base"], description="Left out: the first that can be spent."),
]
Points = Annotated[int, Field(ge=1, le=MOST_POINTS, examples=[300])]
Change = Annotated[
    int, Field(ge=-MOST_POINTS, le=MOST_POINTS, examples=[-300]), AfterValidator(_not_zero)
]
Note = Annotated[
    str,
    Field(min_length=1, max_length=140, pattern=NO_CONTROLS, examples=["Happy birthday"]),
    AfterValidator(_not_blank),
]
Word = Annotated[
    str, Field(min_length=1, max_length=64, pattern=NO_CONTROLS), AfterValidator(_not_blank)
]
DeviceId = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]{1,128}$",
        examples=["6f1c9a3e-8d25-4c0e-9b0a-2f9d5f0a7e11"],
        description="The device it is asked from; only a digest is kept.",
    ),
]
OccurredAt = Annotated[
    AwareDatetime,
    Field(
        strict=False,
        examples=[EXAMPLE_TIME],
        description="For imports by agents, operators and partners: when it happened. An account's "
        "clock does not go back: it counts as the later of this and the account's last entry.",
    ),
    BeforeValidator(_rfc_3339),
]
MemberPath = Annotated[str, Path(pattern=MEMBER_ID, examples=["M1"])]
