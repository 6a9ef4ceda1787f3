"""Recording activities on a real journal: ids, retries, returns, races and crashes."""

import asyncio

import msgspec

from contracts.envelope import Fact
from contracts.events import ActivityRecorded, ReturnedLine, ReturnMatched
from kit.journal.port import Draft
from kit.settings import StoreSettings
from services.events.commands import Outcome, record_activities
from services.events.views import ACTIVITY_INDEX, Registered, registration
from services.events.wiring import Wiring, wire
from tests.services.events.bodies import Body, intake, purchase, returning
from tests.services.starting import TestClock


async def record(wiring: Wiring, *bodies: Body) -> list[Outcome]:
    return await record_activities(wiring, [intake(body) for body in bodies])


async def facts(wiring: Wiring, member: str = "M1") -> list[Fact]:
    return await wiring.activities.read(f"activity:{member}")


def shown(outcomes: list[Outcome]) -> list[str]:
    return [
        outcome.error.code if outcome.error else "duplicate" if outcome.duplicate else "accepted"
        for outcome in outcomes
    ]


def recorded(fact: Fact) -> ActivityRecorded:
    return msgspec.json.decode(fact.body, type=ActivityRecorded)


async def test_an_activity_is_recorded_once_whatever_is_sent_again(wiring: Wiring) -> None:
    batch = [purchase("1", 100), purchase("2", 200, member="M2"), purchase("3", 300)]
    first = await record(wiring, *batch)
    again = await record(wiring, *batch, purchase("4", 400))
    assert shown(first) == ["accepted"] * 3
    assert shown(again) == ["duplicate", "duplicate", "duplicate", "accepted"]
    assert [one.fact.seq for one in again if one.fact] == [1, 1, 2, 3]
    assert len(await facts(wiring)) == 3


async def test_a_hundred_duplicates_of_one_member_in_one_batch_come_back(wiring: Wiring) -> None:
    batch = [purchase(str(number), 100) for number in range(100)]
    await record(wiring, *batch)
    assert shown(await record(wiring, *batch)) == ["duplicate"] * 100


async def test_the_same_id_with_other_content_is_a_conflict(wiring: Wiring) -> None:
    await record(wiring, purchase("1", 100))
    assert shown(await record(wiring, purchase("1", 101))) == ["activity_id_reused"]
    assert len(await facts(wiring)) == 1


async def test_content_that_is_only_written_differently_is_the_same(wiring: Wiring) -> None:
    written_out = {
        **purchase("1"),
        "occurred_at": "2025-12-31T13:00:00+01:00",
        "amount": 300,
        "lines": [{"line": 1, "amount": 100}, {"line": 2, "amount": 200, "quantity": 1}],
    }
    await record(wiring, purchase("1", 100, 200))
    assert shown(await record(wiring, written_out)) == ["duplicate"]


async def test_an_id_of_another_member_is_taken(wiring: Wiring) -> None:
    await record(wiring, purchase("1", 100))
    assert shown(await record(wiring, purchase("1", 100, member="M2"))) == ["activity_id_taken"]
    assert await facts(wiring, "M2") == []


async def test_the_same_id_twice_in_one_batch_is_recorded_once(wiring: Wiring) -> None:
    outcomes = await record(
        wiring,
        purchase("1", 100),
        purchase("1", 100),
        purchase("1", 200),
        purchase("1", 100, member="M2"),
        purchase("2", 100),
    )
    assert shown(outcomes) == [
        "accepted",
        "duplicate",
        "activity_id_reused",
        "activity_id_taken",
        "accepted",
    ]


async def test_a_crash_between_claim_and_append_is_mended_by_the_retry(wiring: Wiring) -> None:
    item = intake(purchase("1", 100))
    claim = Registered("M1", item.input_hash)
    await wiring.store.views.save(ACTIVITY_INDEX, [registration(item.activity.activity_id, claim)])
    assert shown(await record(wiring, purchase("1", 100))) == ["accepted"]
    assert shown(await record(wiring, purchase("1", 100))) == ["duplicate"]


async def test_returns_in_one_batch_follow_the_order_of_the_batch(wiring: Wiring) -> None:
    outcomes = await record(
        wiring,
        purchase("1", 1000, 500),
        returning("2", "1", (1, 400)),
        purchase("3", 100),
        returning("4", "1"),
        returning("5", "1"),
        purchase("6", 100),
    )
    assert shown(outcomes) == ["accepted"] * 4 + ["return_exceeds_purchase", "accepted"]
    bodies = [recorded(fact) for fact in await facts(wiring)]
    assert [body.external_id for body in bodies] == ["1", "2", "3", "4", "6"]
    rest = bodies[3].returned
    assert rest is not None
    assert (rest.amount, rest.full, rest.seq) == (1100, True, 1)
    assert rest.lines == (ReturnedLine(1, 1000, 400, 1000), ReturnedLine(2, 500, 0, 500))


async def test_a_batch_and_its_items_one_by_one_give_the_same_facts(
    wiring: Wiring, clock: TestClock
) -> None:
    def batch(member: str) -> list[Body]:
        return [
            returning(f"{member}-1", f"{member}-3", (1, 900), member=member),
            purchase(f"{member}-2", 100, member=member),
            purchase(f"{member}-3", 1000, member=member),
            returning(f"{member}-4", f"{member}-3", member=member),
            returning(f"{member}-5", f"{member}-2", member=member),
        ]

    await record(wiring, *batch("M1"))
    for body in batch("M2"):
        await record(wiring, body)
    one = [(f.seq, f.type, f.key, bytes(f.body)) for f in await facts(wiring, "M1")]
    assert [key for _, _, key, _ in one][3].endswith(".matched")
    assert len(one) == 6
    two = [(f.seq, f.type) for f in await facts(wiring, "M2")]
    assert two == [(seq, kind) for seq, kind, _, _ in one]


async def test_a_refused_return_leaves_its_id_free(wiring: Wiring) -> None:
    await record(wiring, purchase("1", 100))
    assert shown(await record(wiring, returning("2", "1", (1, 101)))) == ["return_exceeds_purchase"]
    assert len(await facts(wiring)) == 1
    assert shown(await record(wiring, returning("2", "1", (1, 100)))) == ["accepted"]
    assert shown(await record(wiring, returning("2", "1", (1, 100)))) == ["duplicate"]


async def test_only_a_purchase_of_the_members_own_can_be_returned(wiring: Wiring) -> None:
    await record(wiring, purchase("1", 100), returning("2", "1"))
    outcomes = await record(
        wiring, returning("3", "2"), returning("4", "4"), returning("5", "1", member="M2")
    )
    assert shown(outcomes) == ["not_a_purchase", "not_a_purchase", "purchase_of_another_member"]
    assert len(await facts(wiring)) == 2
    assert await facts(wiring, "M2") == []


async def test_a_return_that_came_first_is_matched_with_its_purchase(wiring: Wiring) -> None:
    assert shown(await record(wiring, returning("r", "p", (1, 150)))) == ["accepted"]
    assert recorded((await facts(wiring))[0]).returned is None
    await record(wiring, purchase("p", 100, 50))
    found = await facts(wiring)
    assert [fact.type for fact in found] == [
        "ActivityRecorded",
        "ActivityRecorded",
        "ReturnMatched",
    ]
    match = msgspec.json.decode(found[2].body, type=ReturnMatched).returned
    assert (match.seq, match.amount, match.full) == (2, 100, False)
    assert shown(await record(wiring, returning("s", "p", (1, 1)))) == ["return_exceeds_purchase"]


async def test_a_match_lost_in_a_crash_is_written_by_the_retry_of_the_purchase(
    wiring: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    await record(wiring, returning("r", "p"))
    item = intake(purchase("p", 100))
    await wiring.store.views.save(
        ACTIVITY_INDEX,
        [registration(item.activity.activity_id, Registered("M1", item.input_hash))],
    )
    halfway = wire(store, clock)  # a process that dies after the first of two appends
    await halfway.activities.append([_draft(item.activity, item.input_hash)])
    await halfway.close()
    assert shown(await record(wiring, purchase("p", 100))) == ["duplicate"]
    assert [fact.key[-8:] for fact in await facts(wiring)][2] == ".matched"


def _draft(activity: ActivityRecorded, input_hash: bytes) -> Draft:
    body = msgspec.json.encode(activity)
    return Draft("activity:M1", 2, activity.activity_id, input_hash, "ActivityRecorded", 5, 5, body)


async def test_racing_returns_never_take_back_more_than_was_paid(
    wiring: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    await record(wiring, purchase("p", 1000))
    processes = [wire(store, clock) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(
            record(processes[number % 4], returning(f"r{number}", "p", (1, 300)))
            for number in range(8)
        )
    )
    assert sorted(shown([one for part in outcomes for one in part])) == [
        *["accepted"] * 3,
        *["return_exceeds_purchase"] * 5,
    ]
    lines = [body.returned.lines[0] for f in await facts(wiring) if (body := recorded(f)).returned]
    assert [(line.before, line.after) for line in lines] == [(0, 300), (300, 600), (600, 900)]
    for process in processes:
        await process.close()


async def test_a_purchase_and_its_return_that_race_always_meet(
    store: StoreSettings, clock: TestClock
) -> None:
    processes = [wire(store, clock) for _ in range(2)]
    await processes[0].prepare()
    for number in range(20):
        await asyncio.gather(
            record(processes[0], purchase(f"p{number}", 100)),
            record(processes[1], returning(f"r{number}", f"p{number}")),
        )
    taken: dict[str, int] = {}
    for fact in await processes[0].activities.read("activity:M1"):
        kind = ReturnMatched if fact.type == "ReturnMatched" else ActivityRecorded
        body = msgspec.json.decode(fact.body, type=kind)
        if body.returned is not None:
            taken[body.returned.activity_id] = body.returned.amount
    assert list(taken.values()) == [100] * 20
    for process in processes:
        await process.close()
