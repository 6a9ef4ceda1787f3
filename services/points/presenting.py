"""Statements as they travel: entries, wallets and months turned into HTTP bodies."""

from collections.abc import Mapping, Sequence

from kit.clock import from_micros
from kit.http.paging import encode_cursor
from services.points.domain.monthly import Month, Total
from services.points.domain.phrases import KINDS, Language
from services.points.domain.statement import (
    Known,
    Standing,
    changes,
    standing,
    tell,
)
from services.points.queries import Bucket, StatementLine
from services.points.remarks import shown
from services.points.schemas import (
    Dated,
    ExpiringBody,
    KindTotal,
    MonthBody,
    StatementEntry,
    WalletChange,
    WalletExpiring,
    WalletStanding,
)
from services.points.statements import MonthPage, Place

SOONEST = 3
"""Dates that a balance names; the calendar has all, so that a balance costs the same at any age."""


def statement_entry(line: StatementLine, known: Known, language: Language) -> StatementEntry:
    """A line of the statement."""
    entry = line.entry
    return StatementEntry(
        entry_id=entry.entry_id,
        kind=entry.kind,
        text=tell(entry, line.occurred_at, known, language),
        activity_id=entry.activity_id,
        reverses=entry.reverses,
        reward_id=entry.hold.reward_id if entry.hold else None,
        note=shown(entry.transfer, known.remarks) if entry.transfer else None,
        campaigns=list(dict.fromkeys(grant.campaign_id for grant in entry.grants)),
        occurred_at=from_micros(line.occurred_at),
        posted_at=from_micros(line.posted_at),
        changes=[
            _change(wallet, change, standing(entry, wallet))
            for wallet, change in changes(entry).items()
        ],
    )


def _change(wallet: str, change: Standing, after: Standing) -> WalletChange:
    return WalletChange(
        wallet=wallet,
        change=change.active,
        balance=after.active,
        pending_change=change.pending or None,
        pending=after.pending if change.pending else None,
        held_change=change.held or None,
        held=after.held if change.held else None,
    )


def dated(found: Sequence[tuple[int, int]]) -> list[Dated]:
    """Points by date."""
    return [Dated(at=from_micros(at), points=points) for at, points in found]


def month_body(
    member_id: str, month: Month, page: MonthPage, known: Known, language: Language, at: int
) -> MonthBody:
    """A page of a month's statement, read at ``at``."""
    return MonthBody(
        member_id=member_id,
        month=month.name,
        language=language,
        starts_at=from_micros(month.start),
        ends_at=from_micros(month.end),
        final=page.final,
        opening=_standings(page.sums.opening),
        items=[statement_entry(line, known, language) for line in page.lines],
        totals=[_total(total, language) for total in page.sums.totals],
        closing=_standings(page.sums.closing),
        expiring=_expiring(page.now, at),
        next=encode_cursor(Place(month.name, page.next)) if page.next is not None else None,
    )


def _standings(found: Mapping[str, Standing]) -> list[WalletStanding]:
    return [
        WalletStanding(wallet=wallet, balance=each.active, pending=each.pending, held=each.held)
        for wallet, each in sorted(found.items())
    ]


def _total(total: Total, language: Language) -> KindTotal:
    return KindTotal.model_validate(
        {
            "kind": total.kind,
            "name": KINDS[language][total.kind],
            "wallet": total.wallet,
            "lines": total.lines,
            "change": total.change.active,
            "pending_change": total.change.pending,
            "held_change": total.change.held,
        }
    )


def _expiring(wallets: Sequence[Bucket], at: int) -> ExpiringBody:
    return ExpiringBody(
        as_of=from_micros(at),
        wallets=[
            WalletExpiring(wallet=each.wallet, dates=dated(each.expiring[:SOONEST]))
            for each in wallets
            if each.expiring
        ],
    )
