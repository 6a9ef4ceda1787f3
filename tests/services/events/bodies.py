"""Bodies of activities, as clients send them."""

from typing import Any

from services.events.intake import Intake, normalised
from services.events.schemas import activity_body
from tests.services.starting import START

Body = dict[str, Any]


def common(kind: str, number: str, member: str = "M1", **more: Any) -> Body:
    return {
        "type": kind,
        "member_id": member,
        "source": "pos",
        "external_id": number,
        "channel": "store",
        "occurred_at": "2025-12-31T12:00:00Z",
        **more,
    }


def purchase(number: str, *amounts: int, member: str = "M1", **more: Any) -> Body:
    lines = [{"amount": amount} for amount in amounts]
    return common("purchase", number, member, lines=lines, **more)


def returning(
    number: str, of: str, *lines: tuple[int, int | None], member: str = "M1", **more: Any
) -> Body:
    asked = [{"line": line, "amount": amount} for line, amount in lines]
    return common("return", number, member, purchase={"external_id": of}, lines=asked, **more)


def intake(body: Body) -> Intake:
    return normalised(activity_body.validate_python(body), START)
