"""Decisions depend on the activities alone, whatever comes when, how often and to which worker."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from contracts.envelope import Fact
from contracts.events import (
    AsOf,
    RewardGranted,
    RewardReturned,
    RewardWithheld,
)
from kit.clock import SECOND
from kit.rules import compile_condition
from kit.settings import StoreSettings
from programmes.model import load_programme
from programmes.vocabularies import ACTIVITY
from services.events import queries
from services.events.campaigns import Campaigns, compiled
from services.events.commands import record_activities
from services.events.deciding import Decider
from services.events.views import DECIDING, progress_of
from services.events.wiring import Wiring, decider, wire
from tests.services.events.bodies import Body, common, intake, purchase, returning
from tests.services.events.toy_members import ToyMember, card_fact, cards_of, envelopes, first_card
from tests.services.starting import START, TestClock

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def campaigns() -> Campaigns:
    return compiled(load_programme(Path("programmes/five_star.yaml")))


@pytest.fixture
def worker(wiring: Wiring, campaigns: Campaigns) -> Decider:
    return decider(wiring, campaigns)


async def recorded(wiring: Wiring, *bodies: Body) -> list[Fact]:
    """Record activities of one member; return all facts of their stream."""
    intakes = [intake(body) for body in bodies]
    outcomes = await record_activities(wiring, intakes)
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    return await wiring.activities.read(f"activity:{intakes[0].activity.member_id}", 0, 9_999)


async def decisions(wiring: Wiring, member: str = "M1") -> list[queries.Decision]:
    facts = await wiring.decisions.read(f"decision:{member}", 0, 9_999)
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    return [queries.decision_body(fact) for fact in facts]


async def points(wiring: Wiring, member: str = "M1") -> list[int]:
    """The base points of each decision, 0 for none."""
    return [
        next(grant.points for grant in one.grants if grant.wallet == "base")
        if isinstance(one, RewardGranted)
        else 0
        for one in await decisions(wiring, member)
    ]


async def why(wiring: Wiring, fact: Fact) -> str | None:
    key = fact.key.removesuffix(".matched")
    return (await queries.decision(wiring, fact.owner, key)).reason


async def test_a_purchase_earns_what_the_tier_before_it_pays(
    wiring: Wiring, worker: Decider
) -> None:
    facts = await recorded(
        wiring, purchase("1", 70_000), purchase("2", 120_000), purchase("3", 1_000, 99)
    )
    cards = cards_of(facts)
    await worker.handle(envelopes(*facts, *cards))
    assert await points(wiring) == [700, 1500, 16]
    last = (await decisions(wiring))[2]
    assert isinstance(last, RewardGranted)
    assert last.as_of == AsOf("gold", "acceptance", None, 2)
    assert last.grants[0].lines == ((1, 1_000, 15), (2, 99, 1))
    assert [grant.points for grant in last.grants] == [16, 11]


async def test_an_activity_waits_for_the_card_of_those_before_it(
    wiring: Wiring, worker: Decider
) -> None:
    facts = await recorded(wiring, purchase("1", 70_000), purchase("2", 100))
    first, second, third = cards_of(facts)
    await worker.handle(envelopes(*facts))
    assert await why(wiring, facts[0]) == "not_enrolled"
    await worker.handle(envelopes(first))
    assert await points(wiring) == [700]
    assert await why(wiring, facts[1]) == "card_behind"
    await worker.handle(envelopes(second))
    assert await points(wiring) == [700, 1]
    await worker.handle(envelopes(third))
    assert await points(wiring) == [700, 1]


async def test_somebody_unknown_is_parked_until_enrolment_however_long(
    wiring: Wiring, worker: Decider, clock: TestClock
) -> None:
    facts = await recorded(
        wiring, purchase("1", 70_000, occurred_at=NOW), purchase("2", 5_000, occurred_at=NOW)
    )
    await worker.handle(envelopes(*facts))
    clock.now += 90 * 86_400 * SECOND
    assert await worker.look_again() == 0
    assert await decisions(wiring) == []
    cards = cards_of(facts)
    await worker.handle(envelopes(cards[0]))
    clock.now += 60 * SECOND
    await worker.look_again()
    assert await points(wiring) == [700]  # the second waits for a card that knows the first
    await worker.handle(envelopes(cards[2]))
    assert await points(wiring) == [700, 63]
    assert all(
        one.as_of.waited for one in await decisions(wiring) if isinstance(one, RewardGranted)
    )


async def test_a_late_arrival_is_decided_as_of_its_own_time(
    wiring: Wiring, worker: Decider
) -> None:
    facts = await recorded(
        wiring,
        purchase("1", 70_000, occurred_at="2025-06-10T12:00:00Z"),
        purchase("2", 1_000, occurred_at="2025-06-01T12:00:00Z"),
        purchase("3", 1_000, occurred_at="2025-06-11T12:00:00Z"),
    )
    await worker.handle(envelopes(cards_of(facts)[-1], *facts))
    assert await points(wiring) == [700, 10, 13]


async def test_a_fresh_activity_is_decided_without_the_card_when_members_is_out(
    wiring: Wiring, worker: Decider, clock: TestClock
) -> None:
    await worker.handle(envelopes(first_card("M1")))
    clock.now += SECOND
    facts = await recorded(
        wiring,
        purchase("1", 70_000, occurred_at=NOW),
        purchase("2", 5_000, occurred_at=NOW),
        purchase("3", 100, occurred_at="2025-01-01T00:00:00Z"),
    )
    await worker.handle(envelopes(*facts))
    assert await points(wiring) == [700]
    clock.now += 2 * SECOND - 1
    assert (await worker.look_again(), await points(wiring)) == (0, [700])
    clock.now += 1
    assert (await worker.look_again(), await points(wiring)) == (1, [700, 50])
    hurried = (await decisions(wiring))[1]
    assert isinstance(hurried, RewardGranted)
    assert hurried.as_of == AsOf("member", "need", None, 0, waited=False)
    clock.now += 3600 * SECOND
    assert (await worker.look_again(), await points(wiring)) == (0, [700, 50])  # historic: no limit
    await worker.handle(envelopes(cards_of(facts)[2]))
    assert await points(wiring) == [700, 50, 1]


async def test_a_worker_that_was_down_gives_the_card_its_time(
    wiring: Wiring, worker: Decider, clock: TestClock
) -> None:
    await worker.handle(envelopes(first_card("M1")))
    facts = await recorded(
        wiring, purchase("1", 70_000, occurred_at=NOW), purchase("2", 5_000, occurred_at=NOW)
    )
    clock.now += 600 * SECOND
    await worker.handle(envelopes(*facts))
    assert (await worker.look_again(), await points(wiring)) == (0, [700])
    await worker.handle(envelopes(cards_of(facts)[1]))
    assert await points(wiring) == [700, 63]


async def test_returns_need_no_card_but_keep_the_order(wiring: Wiring, worker: Decider) -> None:
    facts = await recorded(
        wiring, returning("1", "2"), purchase("2", 1_000), returning("3", "9"), purchase("4", 100)
    )
    assert [fact.type for fact in facts][2] == "ReturnMatched"
    await worker.handle(envelopes(*facts))
    (unmatched,) = await decisions(wiring)
    assert unmatched == RewardWithheld(
        facts[0].key,
        "M1",
        worker.campaigns.revision,
        AsOf("", ""),
        (),
        "return waits for its purchase",
    )
    await worker.handle(envelopes(first_card("M1")))
    assert len(await decisions(wiring)) == 1  # the purchase waits for a card that knows the return
    await worker.handle(envelopes(cards_of(facts)[1]))
    found = await decisions(wiring)
    assert [type(one) for one in found[1:]] == [RewardGranted, RewardReturned, RewardWithheld]
    assert isinstance(found[2], RewardReturned)
    assert (found[2].activity_id, found[2].returned.amount) == (facts[0].key, 1_000)


async def test_an_activity_that_no_campaign_wants_is_withheld_with_the_reason(
    wiring: Wiring, worker: Decider
) -> None:
    facts = await recorded(wiring, common("visit", "1"), purchase("2", 0))
    await worker.handle(envelopes(*facts, cards_of(facts)[-1]))
    visit, basket = await decisions(wiring)
    assert isinstance(visit, RewardWithheld)
    assert isinstance(basket, RewardWithheld)
    assert visit.reason == "no campaign concerns this kind of activity"
    assert (basket.reason, basket.considered[0].failed) == (
        "no campaign matched",
        "activity.amount > 0",
    )


async def test_everything_delivered_again_changes_nothing(
    wiring: Wiring, worker: Decider, campaigns: Campaigns
) -> None:
    facts = await recorded(wiring, *[purchase(str(n), 30_000) for n in range(10)])
    everything = envelopes(*facts, *cards_of(facts))
    await worker.handle(everything)
    before = await wiring.decisions.read("decision:M1")
    documents = await wiring.store.views.load(DECIDING, ["M1"])
    for again in (worker, decider(wiring, campaigns)):
        await again.handle(everything)
    assert await wiring.decisions.read("decision:M1") == before
    assert await wiring.store.views.load(DECIDING, ["M1"]) == documents


def some_activities(member: str, count: int, seed: int) -> list[Body]:
    """Purchases, returns before and after them, contacts, some of them late."""
    dice = random.Random(seed)
    bodies: list[Body] = []
    for number in range(count):
        name = f"{member}-{number}"
        day = number if dice.random() < 0.8 else dice.randrange(number + 1)
        when = f"2025-{1 + day // 28:02d}-{1 + day % 28:02d}T12:00:00Z"
        kind = dice.random()
        if kind < 0.7:
            amounts = [dice.randrange(30_000) for _ in range(dice.randrange(1, 4))]
            bodies.append(purchase(name, *amounts, member=member, occurred_at=when))
        elif kind < 0.8:
            other = f"{member}-{dice.randrange(count)}"
            lines = [(1, 1)] if dice.random() < 0.5 else []
            bodies.append(returning(name, other, *lines, member=member, occurred_at=when))
        else:
            bodies.append(common("visit", name, member, occurred_at=when))
    return bodies


async def outcome(directory: Path, clock: TestClock, seed: int, campaigns: Campaigns) -> list[str]:
    """Decide the same activities with cards, redeliveries and workers as the dice fall."""
    dice = random.Random(seed)
    wiring = wire(StoreSettings("sqlite", f"sqlite:{directory}"), clock)
    await wiring.prepare()
    streams: list[list[Fact]] = []
    for member in ("M1", "M2"):
        for body in some_activities(member, 30, 7):
            await record_activities(wiring, [intake(body)])
        facts = await wiring.activities.read(f"activity:{member}")
        sparse = [card for card in cards_of(facts, dice.choice([2, 64])) if dice.random() < 0.6]
        streams += [facts, [*sparse, cards_of(facts)[-1]]]
    workers = [
        decider(wire(StoreSettings("sqlite", f"sqlite:{directory}"), clock), campaigns)
        for _ in range(3)
    ]
    for one in workers:
        one.most_waiting = dice.choice([3, 1000])
    size = dice.choice([1, 5, 1000])
    while any(streams):
        stream = dice.choice([stream for stream in streams if stream])
        batch, again = stream[:size], dice.random() < 0.2
        del stream[: 0 if again else size]
        worker = dice.choice(workers)
        await worker.handle(envelopes(*batch))
        if dice.random() < 0.1:
            worker.forget()
    found = []
    for member in ("M1", "M2"):
        for fact in await wiring.decisions.read(f"decision:{member}"):
            found.append(f"{fact.stream} {fact.seq} {fact.key} {bytes(fact.body).decode()}")
    for one in workers:
        await one.activities.close()
        await one.decisions.close()
        await one.views.close()
    await wiring.close()
    return found


async def test_any_order_batch_size_number_of_workers_and_memory_give_the_same_decisions(
    tmp_path: Path, clock: TestClock, campaigns: Campaigns
) -> None:
    expected = await outcome(tmp_path / "0", clock, 0, campaigns)
    assert len(expected) > 55
    assert any("RewardReturned" in line or '"returned"' in line for line in expected)
    for seed in range(1, 12):
        assert await outcome(tmp_path / str(seed), clock, seed, campaigns) == expected


async def test_two_workers_that_race_decide_each_activity_once(
    wiring: Wiring, store: StoreSettings, campaigns: Campaigns, clock: TestClock
) -> None:
    facts = await recorded(wiring, *[purchase(str(n), 30_000) for n in range(40)])
    wirings = [wire(store, clock) for _ in range(4)]
    workers = [decider(one, campaigns) for one in wirings]
    cards = cards_of(facts)
    for n in range(0, 40, 4):
        batch = envelopes(*facts[n : n + 4], *cards[n : n + 5])
        await asyncio.gather(*(worker.handle(batch) for worker in workers))
    assert len(await decisions(wiring)) == 40
    documents = await wiring.store.views.load(DECIDING, ["M1"])
    assert progress_of(documents["M1"]).decided == 40
    for one in wirings:
        await one.close()


async def test_what_another_worker_has_learned_is_not_lost(
    wiring: Wiring, campaigns: Campaigns
) -> None:
    facts = await recorded(wiring, purchase("1", 70_000), purchase("2", 100))
    cards = cards_of(facts)
    one, other = decider(wiring, campaigns), decider(wiring, campaigns)
    await one.handle(envelopes(cards[0]))
    await other.handle(envelopes(cards[2]))
    await one.handle(envelopes(*facts))  # its save loses; only then it learns of the newer card
    assert await points(wiring) == [700, 1]
    documents = await wiring.store.views.load(DECIDING, ["M1"])
    progress = progress_of(documents["M1"])
    assert (progress.decided, progress.card_version) == (2, 3)


async def test_a_crash_between_append_and_save_is_mended_by_the_redelivery(
    wiring: Wiring, worker: Decider, campaigns: Campaigns
) -> None:
    facts = await recorded(wiring, *[purchase(str(n), 100) for n in range(3)])
    everything = envelopes(*facts, *cards_of(facts))
    await worker.handle(everything)
    before = await decisions(wiring)
    await wiring.store.views.delete(DECIDING, ["M1"])  # as if it had never been saved
    await decider(wiring, campaigns).handle(everything)
    assert await decisions(wiring) == before
    documents = await wiring.store.views.load(DECIDING, ["M1"])
    assert progress_of(documents["M1"]).decided == 3


async def test_rules_see_the_activity_and_the_member(wiring: Wiring, campaigns: Campaigns) -> None:
    (fact,) = await recorded(
        wiring, purchase("1", 1299, channel="partner", store="0042", source="acme")
    )
    body = msgspec.json.decode(fact.body, type=queries.ActivityRecorded)
    card = next(ToyMember("M1").cards(()))
    late = msgspec.structs.replace(card, enrolled_at=START - 10 * 86_400 * SECOND)
    conditions = {
        "activity.amount == 12.99 && activity.lines == 1": True,
        'activity.partner == "acme" && activity.store == "0042"': True,
        'member.tier == "member" && member.region == "north"': True,
        "member.tenure_days == 9": True,
        'activity.categories == ["x"]': False,
    }
    facts = campaigns.facts(body, fact.occurred_at, late, AsOf("member", "need"))
    found = {text: compile_condition(text, ACTIVITY).holds(facts) for text in conditions}
    assert found == conditions


async def test_cards_of_one_version_that_tell_more_are_taken(
    wiring: Wiring, worker: Decider
) -> None:
    facts = await recorded(wiring, *[purchase(str(n), 70_000) for n in range(4)])
    short = cards_of(facts, recent=1)[-1]
    await worker.handle(envelopes(short, card_fact(list(ToyMember("M1").cards(facts))[-1])))
    await worker.handle(envelopes(*facts))
    assert await points(wiring) == [700, 875, 875, 1050]
