"""Statements over HTTP: filters, cursors, languages, months as JSON and as a page."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from kit.auth import LocalIssuer
from kit.clock import DAY, SECOND, from_micros
from kit.settings import StoreSettings
from services.points.app import create_app
from services.points.commands import carry_out, digest, post_decisions
from services.points.domain.holding import PlaceHold
from services.points.domain.moving import Send
from services.points.languages import preferred_language
from services.points.remarks import Said
from services.points.settings import ApiSettings
from services.points.statement_page import CONTENT_SECURITY_POLICY
from services.points.wiring import Wiring
from tests.services.points.decisions import granted, returned
from tests.services.starting import TestClock, api_settings

JANUARY_20 = datetime(2026, 1, 20, 17, tzinfo=UTC)
M1 = "/v1/members/M1/points"


class Api:
    """The API as member M1 calls it, with activities that happen when the test says."""

    def __init__(
        self, client: httpx.AsyncClient, wiring: Wiring, clock: TestClock, issuer: LocalIssuer
    ) -> None:
        self.client, self.wiring, self.clock, self.issuer = client, wiring, clock, issuer
        self.seq = 0

    async def earn(self, points: int, *, days: int = 0) -> None:
        """A purchase, ``days`` after the last one."""
        self.clock.now += days * DAY
        self.seq += 1
        await self.post(granted("M1", self.seq, points))

    async def post(self, fact: Any) -> None:
        moved = type(fact)(
            fact.stream, fact.seq, fact.key, fact.type, self.clock.now, self.clock.now, fact.body
        )
        await post_decisions(self.wiring.ledger, self.wiring.rules, [moved])

    async def give_back(self, purchase: int, part: int) -> None:
        self.seq += 1
        await self.post(returned("M1", self.seq, purchase, 0, part))

    async def send(self, note: str = "") -> None:
        at = self.clock.now
        remarks = self.wiring.remarks
        remark = await remarks.write(Said(note, "M1", "M1", "M20771")) if note else None
        command = Send("M1", "s1", "t1", "M20771", "base", 5, at, at + DAY, "M1", remark=remark)
        await self.carry(command, "s1")

    async def hold(self, purpose: str) -> None:
        at = self.clock.now
        await self.carry(PlaceHold("M1", "k1", "h1", "base", 5, at, at + DAY, purpose, "M1"), "k1")

    async def carry(self, command: Any, key: str) -> None:
        await carry_out(self.wiring.ledger, self.wiring.rules.policy, command, key, digest(key))

    async def get(self, path: str, who: str = "", **query: Any) -> httpx.Response:
        token = self.issuer.token(who) if who else self.issuer.token("member", "M1")
        headers = {"authorization": f"Bearer {token}", **query.pop("headers", {})}
        return await self.client.get(f"{M1}{path}", params=query, headers=headers)

    async def ids(self, **query: Any) -> list[str]:
        answer = await self.get("/statement", **query)
        assert answer.status_code == 200, answer.text
        return [item["entry_id"] for item in answer.json()["items"]]


@pytest.fixture
async def api(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Api]:
    clock.now = int(JANUARY_20.timestamp()) * SECOND
    app = create_app(api_settings(ApiSettings, tmp_path), clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://points") as client:
            yield Api(client, app.state.wiring, clock, issuer)


# all entries


async def test_a_line_says_what_happened_and_what_moved(api: Api) -> None:
    await api.earn(1_200)
    await api.hold("lunch")
    held, earned = (await api.get("/statement")).json()["items"]
    assert earned["text"] == "Purchase: +1,200 points; +1,200 tier points"
    assert earned["changes"] == [
        {"wallet": "base", "change": 1_200, "balance": 1_200},
        {"wallet": "tier", "change": 1_200, "balance": 1_200},
    ]
    assert held["text"] == "Set aside for “lunch”: 5 points"
    assert held["changes"] == [
        {"wallet": "base", "change": -5, "balance": 1_195, "held_change": 5, "held": 5}
    ]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, zh-Hant;q=0.5, en;q=0.4", "zh"),
        ("de-DE, de", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("zh;q=0", "en"),
        ("zh;q=nonsense", "en"),
        ("zh;q=7", "en"),
        (",;,;q=1", "en"),
        ("ZH", "zh"),
    ],
)
def test_the_language_is_the_one_a_browser_prefers(header: str, language: str) -> None:
    assert preferred_language(header) == language


async def test_the_language_asked_for_comes_before_the_preferred_one(api: Api) -> None:
    await api.earn(12)
    words = {"en": "Purchase: +12 points; +12 tier points", "zh": "购物：+12 积分；+12 等级积分"}
    for asked, header, language in (("", "zh", "zh"), ("zh", "en", "zh"), ("en", "zh", "en")):
        query = {"language": asked} if asked else {}
        answer = await api.get("/statement", headers={"accept-language": header}, **query)
        assert answer.json()["items"][0]["text"] == words[language]
        assert answer.headers["content-language"] == language
        assert answer.headers["vary"] == "Accept-Language"


async def test_an_unknown_language_is_refused(api: Api) -> None:
    assert (await api.get("/statement", language="fr")).status_code == 422


async def test_lines_are_filtered_by_kind_wallet_and_time(api: Api) -> None:
    await api.earn(10)
    await api.earn(20, days=3)
    await api.give_back(1, 500)
    await api.hold("lunch")
    assert await api.ids(kind="earn") == ["M1-2", "M1-1"]
    assert await api.ids(kind=["return", "hold"]) == ["M1-x4", "M1-3"]
    assert await api.ids(wallet="tier") == ["M1-3", "M1-2", "M1-1"]
    assert await api.ids(wallet="tier", kind="hold") == []
    assert await api.ids(to="2026-01-20") == ["M1-1"]
    assert await api.ids(**{"from": "2026-01-21"}) == ["M1-x4", "M1-3", "M1-2"]
    assert await api.ids(**{"from": "2026-01-20", "to": "2026-01-20"}) == ["M1-1"]
    moment = JANUARY_20.isoformat()
    assert await api.ids(**{"from": moment, "kind": "earn"}) == ["M1-2", "M1-1"]
    assert await api.ids(to=moment) == []


async def test_a_day_of_a_filter_is_the_programmes(api: Api) -> None:
    """At half past four in the morning, UTC, it is still the day before in New York."""
    api.clock.now = int(datetime(2026, 2, 1, 4, 30, tzinfo=UTC).timestamp()) * SECOND
    await api.earn(10)
    assert await api.ids(to="2026-01-31") == ["M1-1"]
    assert await api.ids(**{"from": "2026-02-01"}) == []


async def test_a_filter_that_means_nothing_is_refused(api: Api) -> None:
    for query, code in (
        ({"wallet": "bass"}, "unknown_wallet"),
        ({"kind": "gift"}, "invalid_request"),
        ({"from": "yesterday"}, "invalid_request"),
        ({"from": "2026-02-30"}, "invalid_request"),
        ({"from": "2026-01-20T10:00:00"}, "invalid_request"),
        ({"from": "20260120"}, "invalid_request"),
        ({"to": "9999-12-31"}, "invalid_request"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "invalid_request"),
        ({"cursor": "MA"}, "bad_cursor"),
        ({"cursor": "LTE"}, "bad_cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"}, "bad_cursor"),
    ):
        answer = await api.get("/statement", **query)
        assert (answer.status_code, answer.json()["code"]) == (422, code), query


async def test_pages_neither_lose_nor_repeat_a_line_while_entries_arrive(api: Api) -> None:
    for _ in range(7):
        await api.earn(10)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/statement", limit=2, kind="earn", **cursor)).json()
        assert len(page["items"]) <= 2
        seen += [item["entry_id"] for item in page["items"]]
        await api.earn(1)
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [f"M1-{n}" for n in range(7, 0, -1)]


async def test_a_filtered_page_may_be_short_and_still_go_on(api: Api) -> None:
    """A page looks at some 2,000 entries; the wanted one is further back."""
    await api.earn(10)
    await api.give_back(1, 500)
    facts = [granted("M1", seq, 1) for seq in range(3, 2_503)]
    await post_decisions(api.wiring.ledger, api.wiring.rules, facts)
    first = (await api.get("/statement", kind="return", limit=5)).json()
    assert first["items"] == []
    second = (await api.get("/statement", kind="return", limit=5, cursor=first["next"])).json()
    assert [item["entry_id"] for item in second["items"]] == ["M1-2"]
    assert second["next"] is None
    api.clock.now += 10 * DAY
    await api.post(granted("M1", 2_503, 1))
    query = {"from": from_micros(api.clock.now).isoformat()}
    latest = (await api.get("/statement", **query)).json()
    assert [item["entry_id"] for item in latest["items"]] == ["M1-2503"]
    assert latest["next"] is None  # what was booked before cannot have happened since


async def test_another_member_is_shown_masked_but_not_to_an_agent(api: Api) -> None:
    await api.earn(10)
    await api.send("for <you>")
    own = (await api.get("/statement")).json()["items"][0]
    assert own["text"].startswith("Sent to member M20…: 5 points")
    assert own["note"] == "for <you>"
    assert "M20771" not in (await api.get("/statement")).text
    agents = (await api.get("/statement", "agent")).json()["items"][0]
    assert agents["text"].startswith("Sent to member M20771: 5 points")


# a month


async def test_a_month_opens_totals_and_closes(api: Api) -> None:
    await api.earn(10)
    await api.earn(30, days=20)
    await api.give_back(1, 500)
    await api.hold("lunch")
    month = (await api.get("/statements/2026-02")).json()
    assert [month[field] for field in ("month", "language", "final", "next")] == [
        "2026-02",
        "en",
        False,
        None,
    ]
    assert (month["starts_at"], month["ends_at"]) == (
        "2026-02-01T05:00:00Z",
        "2026-03-01T05:00:00Z",
    )
    assert month["opening"] == [standing("base", 10), standing("tier", 10)]
    assert [item["entry_id"] for item in month["items"]] == ["M1-2", "M1-3", "M1-x4"]
    assert month["totals"] == [
        total("earn", "Earned", "base", 30),
        total("earn", "Earned", "tier", 30),
        total("return", "Returns", "base", -5),
        total("return", "Returns", "tier", -5),
        total("hold", "Set aside", "base", -5, 5),
    ]
    assert month["closing"] == [standing("base", 30, 5), standing("tier", 35)]
    assert month["expiring"]["wallets"] == []


def standing(wallet: str, balance: int, held: int = 0) -> dict[str, Any]:
    return {"wallet": wallet, "balance": balance, "pending": 0, "held": held}


def total(kind: str, name: str, wallet: str, change: int, held: int = 0) -> dict[str, Any]:
    told = {"kind": kind, "name": name, "wallet": wallet, "lines": 1, "change": change}
    return {**told, "pending_change": 0, "held_change": held}


async def test_what_is_no_month_is_refused(api: Api) -> None:
    for month in ("2026-13", "2026-00", "26-01", "2026-1", "1800-01", "2026-01-01", "2026-01%0A"):
        answer = await api.get(f"/statements/{month}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), month


async def test_a_month_to_come_is_refused(api: Api) -> None:
    answer = await api.get("/statements/2026-02")
    assert (answer.status_code, answer.json()["code"]) == (422, "month_not_begun")


async def test_another_members_month_is_forbidden(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.issuer.token('member', 'M2')}"}
    answer = await api.client.get(f"{M1}/statements/2026-01", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_member")


async def test_a_long_month_goes_on_under_a_cursor_of_its_own(api: Api) -> None:
    facts = [granted("M1", seq, 1) for seq in range(1, 2_002)]
    api.clock.now = 10 * DAY
    await post_decisions(api.wiring.ledger, api.wiring.rules, facts)
    first = (await api.get("/statements/1970-01")).status_code
    assert first == 200  # decisions of the tests happen in the first microseconds of 1970
    december = (await api.get("/statements/1969-12")).json()
    assert len(december["items"]) == 2_000
    assert december["opening"] == [standing("base", 0), standing("tier", 0)]
    query = {"cursor": december["next"]}
    rest = (await api.get("/statements/1969-12", **query)).json()
    assert [item["changes"][0]["balance"] for item in rest["items"]] == [2_001]
    assert rest["opening"] == december["closing"]
    answer = await api.get("/statements/1970-01", **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")
    page = (await api.get("/statements/1969-12", format="html")).text
    assert 'rel="next" href="1969-12?format=html&amp;language=en&amp;cursor=' in page


# the page


class Page(HTMLParser):
    """A page's elements and texts, and whether every element is closed in order."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_a_page_is_for_those_who_prefer_one(api: Api) -> None:
    for accept, asked, html in (
        ("", "", False),
        ("*/*", "", False),
        ("application/json", "", False),
        (BROWSER, "", True),
        ("text/html;q=0.5, application/json", "", False),
        (BROWSER, "json", False),
        ("application/json", "html", True),
    ):
        query = {"format": asked} if asked else {}
        answer = await api.get("/statements/2026-01", headers={"accept": accept}, **query)
        wanted = "text/html; charset=utf-8" if html else "application/json"
        assert answer.headers["content-type"] == wanted, accept
        assert answer.headers["vary"] == "Accept-Language, Accept"
        assert answer.headers["cache-control"] == "private, no-store"


async def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(api: Api) -> None:
    await api.earn(1_200)
    answer = await api.get("/statements/2026-01", format="html")
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{allowed}';" in CONTENT_SECURITY_POLICY
    page = Page(answer.text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not re.search(r"url\(|@import|https?:", answer.text)
    assert not any(
        name.startswith("on") or name == "style" for _, each in page.tags for name in each
    )


async def test_everything_that_comes_from_data_is_escaped(api: Api) -> None:
    await api.earn(10)
    await api.hold("<script>alert(1)</script>&'\"")
    await api.send("<b onclick='x'>&")
    text = (await api.get("/statements/2026-01", format="html")).text
    assert "<script" not in text
    assert "<b " not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#x27;&quot;" in text
    assert "Message: &lt;b onclick=&#x27;x&#x27;&gt;&amp;" in text
    Page(text)


@pytest.mark.parametrize(
    ("language", "lang", "texts"),
    [
        (
            "en",
            "en",
            ("Points statement", "January 2026", "20 January", "Opening balance", "+1,200"),
        ),
        ("zh", "zh-Hans", ("积分对账单", "2026年1月", "1月20日", "期初余额", "+1,200")),
    ],
)
async def test_a_page_reads_in_its_language(
    api: Api, language: str, lang: str, texts: tuple[str, ...]
) -> None:
    await api.earn(1_200)
    page = Page((await api.get("/statements/2026-01", format="html", language=language)).text)
    assert page.tags[0] == ("html", {"lang": lang})
    for text in texts:
        assert text in page.texts, text


async def test_tables_tell_assistive_technology_what_heads_what(api: Api) -> None:
    await api.earn(10)
    page = Page((await api.get("/statements/2026-01", format="html")).text)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    tables = [attributes for tag, attributes in page.tags if tag == "table"]
    captions = sum(tag == "caption" for tag, _ in page.tags)
    assert captions + sum("aria-labelledby" in each for each in tables) >= len(tables)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {each["aria-labelledby"] for each in tables if "aria-labelledby" in each} <= ids
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2")] == ["h1", "h2", "h2", "h2"]


async def test_a_month_without_anything_is_a_page_too(api: Api) -> None:
    page = Page((await api.get("/statements/2019-01", format="html")).text)
    assert "Nothing moved in this month." in page.texts


# as of


def at(moment: int) -> str:
    return from_micros(moment).isoformat()


async def test_a_balance_as_of_before_the_first_entry_has_no_wallets(api: Api) -> None:
    await api.earn(10)
    booked = api.clock.now
    api.clock.now += DAY
    for moment in (at(booked - 1), "2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        answer = await api.get("", as_of=moment)
        assert (answer.status_code, answer.json()["wallets"], answer.json()["entries"]) == (
            200,
            [],
            0,
        )


async def test_a_balance_as_of_the_very_moment_of_an_entry_includes_it(api: Api) -> None:
    await api.earn(10)
    booked = api.clock.now
    await api.earn(20, days=1)
    api.clock.now += DAY
    assert (await balance(api, at(booked - 1)), await balance(api, at(booked))) == (0, 10)
    later = booked + DAY
    assert (await balance(api, at(later - 1)), await balance(api, at(later))) == (10, 30)


async def test_entries_booked_at_one_moment_count_together(api: Api) -> None:
    for points in (10, 20, 30):
        await api.earn(points)
    booked = api.clock.now
    api.clock.now += DAY
    assert (await balance(api, at(booked - 1)), await balance(api, at(booked))) == (0, 60)


async def test_a_balance_as_of_a_time_never_changes_later(api: Api) -> None:
    await api.earn(10)
    moment = at(api.clock.now)
    api.clock.now += DAY
    before = (await api.get("", as_of=moment)).json()
    await api.earn(20)
    await api.post(granted("M1", 7, 5))
    await api.hold("lunch")
    api.clock.now += 400 * DAY
    assert (await api.get("", as_of=moment)).json() == before


async def test_a_balance_as_of_a_time_is_told_in_any_zone(api: Api) -> None:
    await api.earn(10)
    moment = from_micros(api.clock.now)
    api.clock.now += DAY
    shanghai = moment.astimezone(ZoneInfo("Asia/Shanghai"))
    assert await balance(api, shanghai.isoformat()) == 10
    assert await balance(api, (shanghai - timedelta(microseconds=1)).isoformat()) == 0


async def balance(api: Api, moment: str) -> int:
    answer = await api.get("", as_of=moment)
    assert answer.status_code == 200, answer.text
    return sum(each["balance"] for each in answer.json()["wallets"] if each["wallet"] == "base")
