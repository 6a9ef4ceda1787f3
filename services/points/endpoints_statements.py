"""The HTTP API of statements: all entries with filters, and a month as JSON or as a page."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from contracts.points import EntryKind, PointsPosted
from kit.auth import Principal, owner_or
from kit.clock import to_micros
from kit.errors import ServiceError
from kit.http.json_body import Router
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points import queries
from services.points.domain.monthly import MONTH, Month, month_of
from services.points.domain.phrases import Language
from services.points.domain.statement import Known
from services.points.domain.terms import start_of
from services.points.languages import Spoken, prefers_html
from services.points.policy import Rules
from services.points.presenting import month_body, statement_entry
from services.points.schemas import MonthBody, StatementBody
from services.points.statement_page import CONTENT_SECURITY_POLICY, Issuer, render
from services.points.statements import Place, Seq, known_for, month_page
from services.points.wiring import Wiring

router = Router()

STAFF = ("agent", "operator")
MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["M1"])]
Reader = Annotated[Principal, Depends(owner_or(*STAFF))]
EVERYTHING = queries.Wanted()
MonthName = Annotated[
    str, Path(pattern=MONTH, examples=["2026-03"], description="By the programme's calendar.")
]
When = Annotated[
    str | None,
    Query(
        max_length=40,
        examples=["2026-03-01"],
        description="A day of the programme's calendar (`from` its beginning, `to` its end) or an "
        "aware time (`from` <= `occurred_at` < `to`).",
    ),
]


@router.get("/statement")
async def read_statement(
    request: Request,
    response: Response,
    member_id: MemberId,
    principal: Reader,
    language: Spoken,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: Annotated[
        list[EntryKind] | None, Query(max_length=14, description="May be given several times.")
    ] = None,
    wallet: Annotated[str | None, Query(max_length=40, examples=["base"])] = None,
    from_: Annotated[When, Query(alias="from")] = None,
    to: When = None,
) -> StatementBody:
    """The account's entries, newest first, each with what happened in words and balances after it.

    A page of a filtered statement looks at some 2,000 entries: it may have fewer lines than the
    limit, or none, and still a `next`. Entries that arrive meanwhile are before the first page:
    following `next` neither repeats nor leaves out a line. Of other members only the first
    characters of their id are shown, except to agents and operators.
    """
    wanted = wanted_of(request.app.state.wiring.rules, kind, wallet, from_, to)
    response.headers.update(_spoken(language))
    return await statement_body(request, principal, member_id, language, limit, cursor, wanted)


async def statement_body(
    request: Request,
    principal: Principal,
    owner: str,
    language: Language,
    limit: int,
    cursor: str | None,
    wanted: queries.Wanted = EVERYTHING,
) -> StatementBody:
    """A page of an owner's statement, as the caller may see it."""
    wiring: Wiring = request.app.state.wiring
    before = decode_cursor(cursor, Seq) if cursor else None
    lines, rest = await queries.statement(wiring.entries, owner, limit, before, wanted)
    known = await _known(request, principal, owner, (line.entry for line in lines))
    return StatementBody(
        member_id=owner,
        items=[statement_entry(line, known, language) for line in lines],
        next=encode_cursor(rest) if rest is not None else None,
    )


@router.get(
    "/statements/{month}",
    response_model=MonthBody,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def read_month(
    request: Request,
    response: Response,
    member_id: MemberId,
    month: MonthName,
    principal: Reader,
    language: Spoken,
    cursor: Cursor = None,
    format: Annotated[
        Literal["json", "html"] | None,
        Query(description="Left out: what `Accept` asks for; HTML is a page to print or keep."),
    ] = None,
) -> Any:
    """A month's statement: opening, every line, totals, closing, and what expires next.

    An activity that arrives late is in the month that the account had reached, with its own date.
    At most 2,000 lines a page; a further page opens with what the one before closes with.
    """
    wiring: Wiring = request.app.state.wiring
    asked, now = month_of(wiring.rules.zone, month), wiring.clock()
    from_seq = _from_seq(cursor, asked)
    page = await month_page(wiring.ledger, wiring.rules, member_id, asked, now, from_seq)
    known = await _known(request, principal, member_id, (line.entry for line in page.lines))
    body = month_body(member_id, asked, page, known, language, now)
    headers = {**_spoken(language, "Accept"), "cache-control": "private, no-store"}
    if format == "html" or (format is None and prefers_html(request.headers.get("accept", ""))):
        policy = {"content-security-policy": CONTENT_SECURITY_POLICY}
        quiet = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
        issuer = Issuer(wiring.rules.club, wiring.rules.zone, wiring.rules.wallets)
        text = render(body, issuer, continued=cursor is not None)
        return HTMLResponse(text, headers={**headers, **policy, **quiet})
    response.headers.update(headers)
    return body


async def _known(
    request: Request, principal: Principal, owner: str, entries: Iterable[PointsPosted]
) -> Known:
    wiring: Wiring = request.app.state.wiring
    rewards = getattr(request.app.state, "rewards", None)  # where the process has a catalogue
    masked = not principal.has(*STAFF)
    return await known_for(
        wiring.ledger, wiring.rules, rewards, wiring.remarks, owner, list(entries), masked=masked
    )


def _spoken(language: Language, *more: str) -> dict[str, str]:
    return {"content-language": language, "vary": ", ".join(("Accept-Language", *more))}


def _from_seq(cursor: str | None, month: Month) -> int | None:
    """Where a page of this month goes on; a cursor of another month is none of this list."""
    if cursor is None:
        return None
    place = decode_cursor(cursor, Place)
    if place.month != month.name:
        raise _invalid("cursor", "bad_cursor", "The cursor is not one that this month gave out")
    return place.seq


def wanted_of(
    rules: Rules,
    kinds: list[EntryKind] | None,
    wallet: str | None,
    start: str | None,
    end: str | None,
) -> queries.Wanted:
    """The filter that a caller asks for. Raises ServiceError ``invalid``."""
    if wallet is not None and wallet not in rules.wallets:
        known = ", ".join(rules.wallets)
        raise _invalid("wallet", "unknown_wallet", f"There is no such wallet. Known are {known}")
    wanted = queries.Wanted(
        frozenset(kinds) if kinds else None,
        wallet,
        _moment("from", start, rules.zone, after=False) if start is not None else None,
        _moment("to", end, rules.zone, after=True) if end is not None else None,
    )
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        raise _invalid("to", "invalid_request", "`to` must be after `from`")
    return wanted


def _moment(field: str, written: str, zone: ZoneInfo, *, after: bool) -> int:
    """A time in microseconds; a day means its beginning, or the end of it."""
    try:
        if len(written) == 10:
            day = date.fromisoformat(written)
            return start_of(zone, day + timedelta(days=1) if after else day)
        return to_micros(datetime.fromisoformat(written))
    except (ValueError, OverflowError) as error:
        message = f"`{field}` is a day (2026-03-01) or a time with its zone (2026-03-01T12:00:00Z)"
        raise _invalid(field, "invalid_request", message) from error


def _invalid(field: str, code: str, message: str) -> ServiceError:
    return ServiceError("invalid", code, message, field=f"query.{field}")
