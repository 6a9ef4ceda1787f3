"""The HTTP API on where a member stands: card, stage and tier."""

from typing import Annotated

from fastapi import Depends, Path, Request

from kit.auth import owner_or
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor
from services.members import queries
from services.members.presenting import card_view, stage_view, tier_view
from services.members.schemas import MEMBER_ID
from services.members.schemas_standing import CardView, StageView, TierView
from services.members.wiring import Wiring

router = Router(prefix="/v1/members/{member_id}", tags=["standing"])

MemberId = Annotated[str, Path(pattern=MEMBER_ID, examples=["M1"])]
READERS = Depends(owner_or("agent", "marketer", "operator", "partner"))


@router.get(
    "/card",
    dependencies=[READERS],
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_card(request: Request, member_id: MemberId) -> CardView:
    """The member card: tier and stage, their recent changes, and those that time will bring.

    It holds no personal data.
    """
    return card_view(queries.card_of(await queries.member(request.app.state.wiring, member_id)))


@router.get(
    "/stage",
    dependencies=[READERS],
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_stage(
    request: Request, member_id: MemberId, limit: Limit = 20, cursor: Cursor = None
) -> StageView:
    """The step of the relationship: its evidence in words, what the next takes, how it came.

    As of the newest activity or daily duty of the member, not of the present second: `due` says
    what time will bring. Older history by `cursor`.
    """
    wiring: Wiring = request.app.state.wiring
    found = await queries.member(wiring, member_id)
    before = decode_cursor(cursor, int) if cursor else None
    history = await queries.history(wiring, member_id, limit, before)
    return stage_view(found, wiring.programme, wiring.rules, history, limit)


@router.get(
    "/tier",
    dependencies=[READERS],
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_tier(request: Request, member_id: MemberId) -> TierView:
    """The tier by spend in the window, what is missing for the next, what keeps this one."""
    wiring: Wiring = request.app.state.wiring
    found = await queries.member(wiring, member_id)
    return tier_view(found, wiring.programme, wiring.rules)
