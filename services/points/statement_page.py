"""A month's statement as one HTML page, to read, print or keep.

It is made from the same body that JSON callers get, so that both say the same. It needs nothing
from elsewhere and runs nothing: its style is allowed by its hash, all else is forbidden, and
everything that comes from data is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from html import escape
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from services.points.domain.phrases import Language, number, wallet_name, written, written_month
from services.points.schemas import (
    KindTotal,
    MonthBody,
    StatementEntry,
    WalletChange,
    WalletStanding,
)
from services.points.statement_style import STYLE
from services.points.statement_words import WORDS

_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
JUST_BEFORE = timedelta(microseconds=1)
NONE = "–"
PLACES = ("active", "pending", "held")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues a statement: the club, its time zone, and which of its wallets can be spent."""

    club: str
    zone: ZoneInfo
    spendable: Mapping[str, bool]


def render(body: MonthBody, issuer: Issuer, *, continued: bool) -> str:
    """The page. ``continued``: it is a further page of a long month."""
    return "".join(_Page(body, issuer, continued).parts())


class _Page:
    """One page while it is being written: what it is about, and its words."""

    def __init__(self, body: MonthBody, issuer: Issuer, continued: bool) -> None:
        self.body, self.issuer, self.continued = body, issuer, continued
        self.club, self.zone = issuer.club, issuer.zone
        self.language: Language = body.language
        self.words: Mapping[str, str] = WORDS[self.language]
        self.opening = {each.wallet: each for each in body.opening}
        self.closing = {each.wallet: each for each in body.closing}
        self.wallets = sorted(self.closing, key=lambda wallet: (wallet != "base", wallet))

    def parts(self) -> Iterator[str]:
        words, month = self.words, written_month(self.first_day, self.language)
        title = escape(f"{words['title']} {month} · {self.club}")
        yield f'<!doctype html><html lang="{words["lang"]}"><head><meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f'<meta name="robots" content="noindex"><title>{title}</title>'
        yield f"<style>{STYLE}</style></head><body>"
        yield from self.head(month)
        yield "<main>"
        yield from self.tiles()
        yield from self.summary()
        yield from self.lines()
        yield from self.expiring()
        yield "</main>"
        note = words["note"].format(zone=self.zone.key)
        yield f"<footer>{escape(note)}</footer></body></html>"

    @property
    def first_day(self) -> datetime:
        return self.body.starts_at.astimezone(self.zone)

    @property
    def last_day(self) -> datetime:
        return (self.body.ends_at - JUST_BEFORE).astimezone(self.zone)

    def day(self, moment: datetime) -> str:
        return written(moment.astimezone(self.zone).date(), self.language)

    def head(self, month: str) -> Iterator[str]:
        words, body = self.words, self.body
        start, end = self.day(self.first_day), self.day(self.last_day)
        facts = {
            "member": body.member_id,
            "period": words["period_value"].format(start=start, end=end),
            "issued": self.day(body.expiring.as_of),
            "state": words[self.state],
        }
        more = f" ({words['continued']})" if self.continued else ""
        yield f'<header><div><p class="club">{escape(self.club)}</p>'
        yield f"<h1>{words['title']}<span>{month}{more}</span></h1></div>"
        yield '<dl class="facts">'
        for name, value in facts.items():
            yield f"<dt>{words[name]}</dt><dd>{escape(value)}</dd>"
        yield "</dl></header>"

    @property
    def state(self) -> str:
        if self.body.final:
            return "final"
        over = self.body.expiring.as_of >= self.body.ends_at
        return "provisional" if over else "open"

    def tiles(self) -> Iterator[str]:
        if not self.wallets:
            return
        shown = min(self.last_day, self.body.expiring.as_of)
        yield f'<ul class="tiles" aria-label="{self.words["balance"]}">'
        for wallet in self.wallets:
            name = wallet_name(wallet, self.language)
            label = self.words["closing_on"].format(wallet=name, date=self.day(shown))
            points = number(self.closing[wallet].balance)
            yield f"<li><span>{escape(label)}</span><strong>{points}</strong></li>"
        yield "</ul>"

    def summary(self) -> Iterator[str]:
        if not self.wallets:
            return
        yield f"<h2>{self.words['summary']}</h2>"
        for wallet in self.wallets:
            totals = [total for total in self.body.totals if total.wallet == wallet]
            yield from self.sums(wallet, totals)

    def sums(self, wallet: str, totals: list[KindTotal]) -> Iterator[str]:
        """A wallet from opening to closing, in as many columns as ever had points."""
        ends = (self.opening[wallet], self.closing[wallet])
        rows = [_of_total(total) for total in totals]
        columns = [
            place
            for place in range(len(PLACES))
            if not place or any(row[place] for row in (*rows, *map(_of_standing, ends)))
        ]
        caption = self.words["summary_of"].format(wallet=wallet_name(wallet, self.language))
        yield f'<div class="wide"><table class="sums"><caption>{escape(caption)}</caption><thead>'
        yield f'<tr><th scope="col">{self.words["kind"]}</th>'
        yield f'<th scope="col" class="n">{self.words["entries"]}</th>'
        spends = self.issuer.spendable.get(wallet, True)
        for place in columns:
            name = PLACES[place] if place or spends else "counted"
            yield f'<th scope="col" class="n">{self.words[name]}</th>'
        yield "</tr></thead><tbody>"
        yield _sum_row(self.opened, "", _numbers(_of_standing(ends[0]), columns))
        for total, row in zip(totals, rows, strict=True):
            cells = _numbers(row, columns, signed=True)
            yield f'<tr><th scope="row">{escape(total.name)}</th><td class="n">'
            yield f"{number(total.lines)}</td>{cells}</tr>"
        yield _sum_row(self.closed, "", _numbers(_of_standing(ends[1]), columns))
        yield "</tbody></table></div>"

    @property
    def opened(self) -> str:
        return self.words["brought" if self.continued else "opening"]

    @property
    def closed(self) -> str:
        return self.words["forward" if self.body.next else "closing"]

    def lines(self) -> Iterator[str]:
        words = self.words
        yield f'<h2 id="lines">{words["lines"]}</h2>'
        if not self.body.items:
            yield f'<p class="none">{words["none"]}</p>'
            return
        yield '<div class="wide"><table class="lines" aria-labelledby="lines"><thead><tr>'
        yield f'<th scope="col" rowspan="2">{words["date"]}</th>'
        yield f'<th scope="col" rowspan="2">{words["kind"]}</th>'
        for wallet in self.wallets:
            name = escape(wallet_name(wallet, self.language))
            yield f'<th scope="colgroup" colspan="2" class="n group">{name}</th>'
        pair = "".join(f'<th scope="col" class="n">{words[w]}</th>' for w in ("change", "balance"))
        yield f"</tr><tr>{pair * len(self.wallets)}</tr></thead><tbody>"
        yield self.balances(self.opened, self.opening)
        for item in self.body.items:
            yield from self.line(item)
        yield self.balances(self.closed, self.closing)
        yield "</tbody></table></div>"
        if self.body.next is not None:
            query = {"format": "html", "language": self.language, "cursor": self.body.next}
            href = escape(f"{self.body.month}?{urlencode(query)}")
            yield f'<p class="more"><a rel="next" href="{href}">{words["more"]}</a></p>'

    def balances(self, name: str, standings: Mapping[str, WalletStanding]) -> str:
        cells = (
            f'<td></td><td class="n">{number(standings[wallet].balance)}</td>'
            for wallet in self.wallets
        )
        return f'<tr class="sum"><th scope="row" colspan="2">{name}</th>{"".join(cells)}</tr>'

    def line(self, item: StatementEntry) -> Iterator[str]:
        late = item.occurred_at < self.body.starts_at
        booked = f"<small>{self.words['late']}</small>" if late else ""
        said = self.words["note_sender"].format(text=item.note)
        note = f"<small>{escape(said)}</small>" if item.note else ""
        moment = item.occurred_at.astimezone(self.zone).isoformat(timespec="seconds")
        day = written(
            item.occurred_at.astimezone(self.zone).date(), self.language, beside=self.first_day
        )
        yield f'<tr><td class="date"><time datetime="{moment}">{day}</time>'
        yield f'{booked}</td><td class="text">{escape(item.text)}{note}</td>'
        changed = {change.wallet: change for change in item.changes}
        for wallet in self.wallets:
            yield self.change(changed.get(wallet))
        yield "</tr>"

    def change(self, change: WalletChange | None) -> str:
        """A wallet's two cells: what changed, and what can be spent after it."""
        if change is None:
            return "<td></td><td></td>"
        moved = number(change.change, signed=True) if change.change else NONE
        others = {"pending": change.pending_change, "held": change.held_change}
        small = "".join(
            f"<small>{self.words[place]} {number(points, signed=True)}</small>"
            for place, points in others.items()
            if points
        )
        return f'<td class="n">{moved}{small}</td><td class="n">{number(change.balance)}</td>'

    def expiring(self) -> Iterator[str]:
        words, soon = self.words, self.body.expiring
        yield f'<h2 id="soon">{words["expiring"]}</h2>'
        as_of = words["expiring_as_of"].format(date=self.day(soon.as_of))
        if not soon.wallets:
            yield f'<p class="none">{words["nothing_expires"]} {as_of}</p>'
            return
        yield f'<table class="soon" aria-labelledby="soon"><caption>{as_of}</caption><thead><tr>'
        yield f'<th scope="col">{words["good_until"]}</th><th scope="col">{words["wallet"]}</th>'
        yield f'<th scope="col" class="n">{words["points"]}</th></tr></thead><tbody>'
        for each in soon.wallets:
            name = escape(wallet_name(each.wallet, self.language))
            for date in each.dates:
                last = self.day(date.at - JUST_BEFORE)
                yield f'<tr><th scope="row">{last}</th><td>{name}</td>'
                yield f'<td class="n">{number(date.points)}</td></tr>'
        yield "</tbody></table>"


def _of_total(total: KindTotal) -> tuple[int, int, int]:
    return total.change, total.pending_change, total.held_change


def _of_standing(standing: WalletStanding) -> tuple[int, int, int]:
    return standing.balance, standing.pending, standing.held


def _numbers(row: tuple[int, int, int], columns: Iterable[int], *, signed: bool = False) -> str:
    """Cells; a change of nothing is a dash."""
    return "".join(
        f'<td class="n">{number(row[place], signed=signed) if row[place] or not signed else NONE}'
        "</td>"
        for place in columns
    )


def _sum_row(name: str, entries: str, cells: str) -> str:
    return f'<tr class="sum"><th scope="row">{name}</th><td class="n">{entries}</td>{cells}</tr>'
