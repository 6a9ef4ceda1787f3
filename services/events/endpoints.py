"""The HTTP API of the events service: activities and the decisions on them."""

from typing import Annotated

import msgspec
from fastapi import Body, Depends, Path, Request, Response

from kit.auth import Principal, owner_or, partner_of, require
from kit.auth.dependencies import check_roles
from kit.errors import ServiceError
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.events import queries
from services.events.commands import Outcome, record_activities
from services.events.intake import Intake, normalised, read_item, split_batch
from services.events.presenting import activity_view, decision_view, receipt
from services.events.schemas import (
    ACTIVITY_ID,
    BATCH_REQUEST,
    MEMBER_ID,
    PURCHASE_EXAMPLE,
    ActivityBody,
    ActivityView,
    DecisionView,
    Receipt,
    Receipts,
    Timeline,
)
from services.events.wiring import Wiring

router = Router(tags=["activities"])

STAFF = ("agent", "operator")
CLERKS = (*STAFF, "partner")
Caller = Annotated[Principal, Depends(require(*CLERKS, "member"))]
MEMBERS_OWN_TYPES = frozenset({"visit", "app_open", "content_view", "wish", "share", "review"})
MEMBERS_OWN_SOURCES = frozenset({"app", "web"})

MemberId = Annotated[str, Path(pattern=MEMBER_ID, examples=["M1"])]
ActivityId = Annotated[str, Path(pattern=ACTIVITY_ID, examples=["act_5cpli2znqhbkbhmuc72l73sx"])]
_encoder = msgspec.json.Encoder(enc_hook=str)


@router.post(
    "/v1/activities",
    status_code=201,
    response_model=Receipt,
    responses={200: {"model": Receipt, "description": "Known already"}, **problems("conflict")},
)
async def record_activity(
    request: Request,
    body: Annotated[ActivityBody, Body(examples=[PURCHASE_EXAMPLE])],
    principal: Caller,
) -> Response:
    """Record what a member did. The same `source` and `external_id` again changes nothing.

    A member may be unknown: the activity is kept, and decided once they are enrolled. Members
    record visits, app_opens, content_views, wishes, shares and reviews of their own, with `source`
    `app` or `web`; everything else comes from partners, agents and operators.

    A partner records from sources of its own: `source`, and a return's `purchase.source`, must be
    the token's claim `partner`, or that with a dot and more (`north-stores` has
    `north-stores.till-7`). Any other is 403 `source_not_allowed`, and so is a return that names by
    `activity_id` what is no purchase of theirs. Without the claim it is 403 `partner_missing`.
    """
    wiring: Wiring = request.app.state.wiring
    intake = normalised(body, wiring.clock(), bound_to(principal))
    check_may_record(principal, intake)
    (outcome,) = await record_activities(wiring, [intake])
    if outcome.error is not None:
        raise outcome.error
    content = _encoder.encode(receipt(intake.activity.activity_id, outcome))
    return _json(content, 200 if outcome.duplicate else 201)


@router.post(
    "/v1/activities:batch", response_model=Receipts, openapi_extra={"requestBody": BATCH_REQUEST}
)
async def record_batch(request: Request, principal: Caller) -> Response:
    """Record up to 1,000 activities, in order for each member, with a receipt for each.

    An activity that is refused does not stop the others; its receipt says why. The whole batch may
    be sent again: what was recorded comes back as `duplicate`. A partner's activity that is from a
    source not its own is refused alone; without the claim `partner` all of the batch is.
    """
    wiring: Wiring = request.app.state.wiring
    partner = bound_to(principal)
    outcomes: list[tuple[str | None, Outcome]] = []
    intakes: list[Intake] = []
    places: list[int] = []
    now = wiring.clock()
    for place, raw in enumerate(split_batch(await request.body())):
        try:
            intake = read_item(raw, place, now, partner)
            check_may_record(principal, intake)
        except ServiceError as error:
            outcomes.append((None, Outcome(error=error)))
            continue
        outcomes.append((intake.activity.activity_id, Outcome()))
        intakes.append(intake)
        places.append(place)
    for place, outcome in zip(places, await record_activities(wiring, intakes), strict=True):
        outcomes[place] = (outcomes[place][0], outcome)
    return _json(_encoder.encode({"results": [receipt(*one) for one in outcomes]}), 200)


def bound_to(principal: Principal) -> str | None:
    """The partner of whose sources alone the caller may record and see; None: of any.

    Raises ``forbidden`` when a partner's token does not say which partner.
    """
    return None if principal.has(*STAFF) else partner_of(principal)


def check_may_record(principal: Principal, intake: Intake) -> None:
    """Raise ``forbidden`` unless the caller may record this activity.

    What binds a partner to its sources is in ``intake.normalised``, which can name the field.
    """
    if principal.has(*CLERKS):
        return
    activity = intake.activity
    check_roles(principal, CLERKS, owner_of=activity.member_id)
    if activity.type not in MEMBERS_OWN_TYPES:
        raise ServiceError(
            "forbidden",
            "type_not_allowed",
            f"Members record {', '.join(sorted(MEMBERS_OWN_TYPES))}; not a {activity.type}",
        )
    if activity.source not in MEMBERS_OWN_SOURCES:
        raise ServiceError(
            "forbidden",
            "source_not_allowed",
            "A member's source is app or web; other names belong to the systems that use them",
        )


@router.get(
    "/v1/members/{member_id}/activities",
    dependencies=[Depends(owner_or("agent", "operator"))],
    response_model_exclude_none=True,
)
async def read_timeline(
    request: Request, member_id: MemberId, limit: Limit = 50, cursor: Cursor = None
) -> Timeline:
    """A member's activities, newest first by arrival, those recorded a moment ago included."""
    before = decode_cursor(cursor, int) if cursor else None
    facts = await queries.timeline(request.app.state.wiring, member_id, limit, before)
    more = len(facts) == limit and facts[-1].seq > 1
    return Timeline(
        member_id=member_id,
        items=[activity_view(fact) for fact in facts],
        next=encode_cursor(facts[-1].seq) if more else None,
    )


@router.get(
    "/v1/activities/{activity_id}",
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_activity(
    request: Request,
    activity_id: ActivityId,
    principal: Caller,
) -> ActivityView:
    """One activity. A member sees only their own, a partner those from sources of its own.

    What they may not see is 404, as if it did not exist.
    """
    wiring: Wiring = request.app.state.wiring
    member_id, partner = await _readable(wiring, principal, activity_id)
    found = await queries.activity(wiring, member_id, activity_id, partner)
    return activity_view(*found)


@router.get(
    "/v1/activities/{activity_id}/decision",
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_decision(
    request: Request,
    activity_id: ActivityId,
    principal: Caller,
) -> DecisionView:
    """Why: which campaigns matched, and of those that did not, which condition failed.

    `waiting` with its reason while there is no decision: `not_enrolled`, `card_behind` or
    `in_line`. Whoever may not see the activity gets 404.
    """
    wiring: Wiring = request.app.state.wiring
    member_id, partner = await _readable(wiring, principal, activity_id)
    decided = await queries.decision(wiring, member_id, activity_id, partner)
    return decision_view(activity_id, decided)


async def _readable(
    wiring: Wiring, principal: Principal, activity_id: str
) -> tuple[str, str | None]:
    """Whose activity it is, and of which partner's sources it must be for the caller to see it.

    To a member or a partner, another's is as unknown as one that does not exist.
    """
    partner = bound_to(principal)
    member_id = await queries.owner_of(wiring, activity_id)
    if principal.is_member(member_id):
        return member_id, None
    if not principal.has(*CLERKS):
        raise queries.missing(activity_id)
    return member_id, partner


def _json(content: bytes, status: int) -> Response:
    return Response(content, status, media_type="application/json")
