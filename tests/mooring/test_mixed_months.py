"""What is drawn for a mixed year, by itself: pure, and the same whenever it is drawn."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import httpx
import msgspec
import pytest

from mooring.replay.activity import Activity, Line, ReplayError
from mooring.replay.living import Deeds, live
from mooring.replay.mixed import LONGEST_RETURN_DAYS, PRICE, Month, drawn, months, operations

JANUARY = date(2025, 1, 1)
HOURS = timedelta(hours=2)
MEMBERS = [f"m-{number:03}" for number in range(400)]


class Sent(msgspec.Struct):
    """What a till sends of a purchase or a return, as far as this looks."""

    member_id: str
    external_id: str
    type: str
    occurred_at: datetime
    purchase: dict[str, str] = {}
    lines: list[dict[str, int | str]] | None = None


@dataclass(frozen=True)
class Returned:
    """A return, the purchase it takes back, and the month it is in."""

    month: Month
    back: Sent
    bought: Activity


def bought(days: int = 130, members: int = 12) -> Iterator[Activity]:
    """A basket of each member a day, the third line of which cost nothing."""
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    for day in range(days):
        for member in range(members):
            amounts = [1 + drawn(0, "amount", f"{day}/{member}", 900), 1, 0]
            yield Activity(
                member_id=f"m-{member:03}",
                source="till",
                external_id=f"b-{day}-{member}",
                type="purchase",
                channel="store",
                occurred_at=begin + timedelta(days=day, hours=2 * member),
                amount=sum(amounts),
                lines=[Line(line=n, amount=amount) for n, amount in enumerate(amounts, 1)],
            )


def returned(year: Iterable[Month]) -> list[Returned]:
    """All returns of some months."""
    purchases = {each.external_id: each for each in bought()}
    return [
        Returned(month, sent, purchases[sent.purchase["external_id"]])
        for month in year
        for sent in (msgspec.json.decode(text, type=Sent) for _, _, text in month.items)
        if sent.type == "return"
    ]


def test_the_same_seed_gives_the_same_months_and_another_one_others() -> None:
    year = list(months(bought(), 1))
    assert year == list(months(bought(), 1))
    assert year != list(months(bought(), 2))
    assert [month.first.month for month in year] == [1, 2, 3, 4, 5]


def test_what_a_member_does_does_not_depend_on_who_else_there_is() -> None:
    few, all_ = (operations(members, JANUARY, 1) for members in (MEMBERS[:200], MEMBERS))
    alone = [each for each in few if each.kind != "transfer"]
    assert len(alone) > 40
    assert alone == [e for e in all_ if e.kind != "transfer" and e.member in MEMBERS[:200]]


def test_every_purchase_is_there_once_and_months_are_in_the_order_of_time() -> None:
    year = list(months(bought(), 1))
    sent = [msgspec.json.decode(text, type=Sent) for month in year for _, _, text in month.items]
    kept = [each.external_id for each in sent if each.type == "purchase"]
    assert kept == [each.external_id for each in bought()]
    times = [each.occurred_at for each in sent]
    assert times == sorted(times)


def test_no_member_does_two_things_in_a_month_nor_is_sent_points_twice() -> None:
    for seed in range(20):
        found = operations(MEMBERS, JANUARY, seed)
        receivers = [each.to for each in found if each.kind == "transfer"]
        assert len({each.member for each in found}) == len(found) > 100
        assert len(set(receivers)) == len(receivers) > 20
        assert all(each.to != each.member for each in found)
        assert {each.points % PRICE for each in found if each.kind == "redeem"} == {0}


def test_about_two_members_in_five_do_something_and_each_thing_ends_in_each_way() -> None:
    found = [each for seed in range(20) for each in operations(MEMBERS, JANUARY, seed)]
    assert 0.34 < len(found) / (20 * len(MEMBERS)) < 0.41
    assert {(each.kind, each.then) for each in found} == {
        *(("redeem", then) for then in ("fulfil", "cancel", "leave")),
        *(("hold", then) for then in ("capture", "part", "leave")),
        *(("transfer", then) for then in ("accept", "decline", "leave")),
    }


def test_a_return_comes_after_its_purchase_and_is_in_the_month_it_falls_in() -> None:
    found = [each for seed in range(12) for each in returned(months(bought(), seed))]
    assert 0.05 < len(found) / (12 * 130 * 12) < 0.09
    for each in found:
        later = each.back.occurred_at - each.bought.occurred_at
        assert timedelta(days=1) <= later <= timedelta(days=LONGEST_RETURN_DAYS)
        assert each.back.occurred_at.date().replace(day=1) == each.month.first
        assert each.back.member_id == each.bought.member_id
    last_hours = [each for each in found if each.back.occurred_at >= each.month.end - HOURS]
    assert len(last_hours) > 3
    assert any(each.bought.occurred_at.month < each.month.first.month for each in found)


def test_no_purchase_is_returned_twice() -> None:
    found = [each.back.external_id for each in returned(months(bought(), 1))]
    assert len(set(found)) == len(found) > 50


def test_a_purchase_comes_back_whole_or_by_a_line_or_by_a_part_of_one_and_never_more() -> None:
    shapes = set()
    for each in returned(months(bought(), 1)):
        if each.back.lines is None:
            shapes.add("whole")
            continue
        [line] = each.back.lines
        [of] = [there for there in each.bought.lines or () if there.line == line["line"]]
        amount = int(line.get("amount", of.amount))
        assert 1 <= amount <= of.amount
        shapes.add("part" if "amount" in line else "line")
    assert shapes == {"whole", "line", "part"}


@pytest.mark.parametrize("first", [date(2025, 1, 1), date(2024, 2, 1), date(2024, 12, 1)])
def test_a_month_ends_where_the_next_begins(first: date) -> None:
    end = Month(first).end
    assert (end.tzinfo, end.day, end.time()) == (UTC, 1, time.min)
    assert (end - timedelta(microseconds=1)).date().replace(day=1) == first


def test_what_is_drawn_is_spread_evenly() -> None:
    counts = [0] * 10
    for number in range(10_000):
        counts[drawn(3, "what", str(number), 10)] += 1
    assert 900 < min(counts) <= max(counts) < 1_100


def answering(status: int, code: str) -> httpx.AsyncClient:
    """A client whose every request is answered so."""
    body = {"code": code, "redemption_id": "r", "hold_id": "h", "transfer_id": "t"}
    handler = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    return httpx.AsyncClient(base_url="http://mooring", transport=handler)


async def test_a_want_of_points_is_counted_and_what_was_refused_has_no_second_round() -> None:
    month, deeds = Month(JANUARY, operations=operations(MEMBERS, JANUARY, 1)), Deeds()
    async with answering(409, "insufficient_points") as client:
        await live(client, month, deeds)
    counts = Counter(f"{each.kind} insufficient_points" for each in month.operations)
    assert deeds.counts == counts


async def test_any_other_refusal_ends_it() -> None:
    month = Month(JANUARY, operations=operations(MEMBERS, JANUARY, 1))
    async with answering(409, "idempotency_key_reused") as client:
        with pytest.raises(ReplayError, match="idempotency_key_reused"):
            await live(client, month, Deeds())
