"""The HTTP API of the members service: enrolment, member files, lists, counts."""

from typing import Annotated, Any

from fastapi import Body, Depends, Header, Path, Query, Request, Response

from kit.auth import Principal, owner_or, require
from kit.errors import ServiceError
from kit.http.idempotency import KEY_PATTERN
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.members import queries
from services.members.commands import Enrol, Enrolled, change_file, enrol
from services.members.domain.file import search_key
from services.members.intake import CLERKS, enrolment, read_item, split_batch
from services.members.presenting import member_item, member_view, receipt
from services.members.queries import Position, Wanted
from services.members.schemas import (
    CODE,
    ENROL_EXAMPLE,
    FILE_EXAMPLE,
    MEMBER_ID,
    EnrolBody,
    FileFields,
    MemberList,
    MemberView,
    Receipt,
    Receipts,
    Summary,
)
from services.members.wiring import Wiring

router = Router(tags=["members"])

MemberId = Annotated[str, Path(pattern=MEMBER_ID, examples=["M1"])]
Code = Annotated[str | None, Query(pattern=CODE)]
Prefix = Annotated[str | None, Query(min_length=1, max_length=64)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=KEY_PATTERN,
        description="Needed without `member_id`: the same key again is the same enrolment.",
    ),
]
BATCH_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["members"],
                "additionalProperties": False,
                "properties": {
                    "members": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1000,
                        "items": {"$ref": "#/components/schemas/EnrolBody"},
                    }
                },
            },
            "example": {"members": [ENROL_EXAMPLE, {"member_id": "M2", "channel": "app"}]},
        }
    },
}


@router.post(
    "/v1/members",
    status_code=201,
    responses={200: {"model": Receipt, "description": "Known already"}, **problems("conflict")},
    response_model_exclude_none=True,
)
async def enrol_member(
    request: Request,
    response: Response,
    body: Annotated[EnrolBody, Body(examples=[ENROL_EXAMPLE])],
    principal: Annotated[Principal, Depends(require(*CLERKS, "member"))],
    idempotency_key: IdempotencyKey = None,
) -> Receipt:
    """Enrol a member. Again with the same content changes nothing; with another it is refused.

    Agents, partners and operators enrol anybody: under the brand's own `member_id`, or under one
    made from the Idempotency-Key. A caller with role member enrols themselves, through `app` or
    `web`, under the id in their token.
    """
    wiring: Wiring = request.app.state.wiring
    wanted = enrolment(body, principal, idempotency_key, wiring.clock())
    (outcome,) = await enrol(wiring, [wanted])
    if outcome.error is not None:
        raise outcome.error
    if outcome.duplicate:
        response.status_code = 200
    return receipt(outcome, wanted.member_id)


@router.post(
    "/v1/members:batch",
    dependencies=[Depends(require(*CLERKS))],
    openapi_extra={"requestBody": BATCH_REQUEST},
    response_model_exclude_none=True,
)
async def enrol_batch(request: Request) -> Receipts:
    """Enrol up to 1,000 members (imports), each under its `member_id`, with a receipt for each.

    An enrolment that is refused does not stop the others; its receipt says why. The whole batch may
    be sent again: who was enrolled comes back as `duplicate`.
    """
    wiring: Wiring = request.app.state.wiring
    outcomes: list[tuple[Enrolled, str | None]] = []
    wanted: list[tuple[int, Enrol]] = []
    now = wiring.clock()
    for place, raw in enumerate(split_batch(await request.body())):
        try:
            read = read_item(raw, place, now)
        except ServiceError as error:
            outcomes.append((Enrolled(error=error), None))
        else:
            outcomes.append((Enrolled(), read.member_id))
            wanted.append((place, read))
    settled = await enrol(wiring, [each for _, each in wanted])
    for (place, each), outcome in zip(wanted, settled, strict=True):
        outcomes[place] = (outcome, each.member_id)
    return Receipts(results=[receipt(*one) for one in outcomes])


@router.get("/v1/members:summary", dependencies=[Depends(require("marketer", "agent", "operator"))])
async def read_summary(request: Request) -> Summary:
    """How many enrolled members stand on each tier and stage."""
    wiring: Wiring = request.app.state.wiring
    counts = await queries.summary(wiring)
    by_tier: dict[str, dict[str, int]] = {}
    for (tier, stage), number in sorted(counts.items()):
        by_tier.setdefault(tier, {})[stage] = number
    return Summary(
        members=sum(counts.values()),
        tiers=queries.totals(counts, (tier.code for tier in wiring.rules.tiers), 0),
        stages=queries.totals(counts, wiring.rules.stages, 1),
        tier_stages=by_tier,
    )


@router.get(
    "/v1/members",
    dependencies=[Depends(require("agent"))],
    response_model_exclude_none=True,
)
async def list_members(
    request: Request,
    name: Prefix = None,
    email: Prefix = None,
    phone: Prefix = None,
    tier: Code = None,
    stage: Code = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MemberList:
    """Members by the beginning of their name, e-mail address or telephone number, by tier or stage.

    One of the three searches at most; upper and lower case, and how a number is written, do not
    matter. A tier or stage is known a moment after the activity that led to it.
    """
    wiring: Wiring = request.app.state.wiring
    searches = {"name": name, "email": email, "phone": phone}
    given = [(field, text) for field, text in searches.items() if text is not None]
    if len(given) > 1 or any(not search_key(field, text) for field, text in given):
        raise ServiceError(
            "invalid", "one_search", "Search by one of name, email and phone, with what it begins"
        )
    field, prefix = given[0] if given else (None, None)
    after = decode_cursor(cursor, Position) if cursor else None  # type: ignore[arg-type]
    page = await queries.page(wiring, Wanted(field, prefix, tier, stage), limit, after)
    return MemberList(
        items=[member_item(found) for found in page.members],
        next=encode_cursor(page.next) if page.next is not None else None,
    )


@router.get(
    "/v1/members/{member_id}",
    dependencies=[Depends(owner_or("agent"))],
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_member(request: Request, member_id: MemberId) -> MemberView:
    """The member file with its completeness, and the member's tier and stage."""
    wiring: Wiring = request.app.state.wiring
    return await _view(wiring, member_id)


@router.patch(
    "/v1/members/{member_id}",
    dependencies=[Depends(owner_or("agent"))],
    responses=problems("missing", "conflict"),
    response_model_exclude_none=True,
)
async def change_member(
    request: Request,
    member_id: MemberId,
    body: Annotated[FileFields, Body(examples=[FILE_EXAMPLE])],
) -> MemberView:
    """Set the fields that are sent; null clears a field, those left out stay. May be repeated."""
    wiring: Wiring = request.app.state.wiring
    await change_file(wiring, member_id, body.given())
    return await _view(wiring, member_id)


async def _view(wiring: Wiring, member_id: str) -> MemberView:
    weights: dict[str, int] = dict(wiring.programme.member_file.completeness)  # type: ignore[arg-type]
    return member_view(await queries.member(wiring, member_id), weights)
