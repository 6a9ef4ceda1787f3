"""The copy of the member cards, and what rules see of it."""

import asyncio

import msgspec

from contracts.members import CardChange
from kit.clock import DAY
from kit.rules import compile_condition
from programmes.vocabularies import MEMBER
from services.points.cards import absorb, as_of, card, facts
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.making import card as made
from tests.services.points.rewards.making import carded
from tests.services.starting import START


async def test_the_newest_card_holds_in_whatever_order_they_come(several: list[Rewards]) -> None:
    arrived = [
        carded(4, made("M1")),
        carded(7, made("M1", "gold")),
        carded(5, made("M1", "silver")),
    ]
    assert await absorb(several[0].views, arrived) == 1
    assert await absorb(several[1].views, arrived[::-1]) == 0
    assert await absorb(several[0].views, []) == 0
    found = await card(several[1].views, "M1")
    assert found is not None
    assert found.tier == "gold"
    assert await card(several[0].views, "M2") is None


async def test_of_two_cards_of_one_seq_the_one_with_the_longer_past_holds(rewards: Rewards) -> None:
    short = msgspec.structs.replace(made("M1"), complete_from=9)
    await absorb(rewards.views, [carded(7, short)])
    await absorb(rewards.views, [carded(7, made("M1"))])
    await absorb(rewards.views, [carded(7, short)])
    assert await card(rewards.views, "M1") == made("M1")


async def test_two_processes_at_once_end_with_the_newest(several: list[Rewards]) -> None:
    batches = [[carded(seq, made(f"M{m}", f"t{seq}")) for m in range(20)] for seq in range(1, 9)]
    await asyncio.gather(*(absorb(several[n % 2].views, b) for n, b in enumerate(batches)))
    for m in range(20):
        found = await card(several[0].views, f"M{m}")
        assert found is not None
        assert found.tier == "t8"


def test_what_time_alone_brought_since_holds() -> None:
    falling = made("M1", "gold", due=(CardChange(3, START + DAY, "silver", "acceptance", "MVC"),))
    assert as_of(falling, START + DAY - 1).tier == "gold"
    assert (as_of(falling, START + DAY).tier, as_of(falling, START + DAY).value_class) == (
        "silver",
        "MVC",
    )
    assert as_of(made("M1", changes=()), START).tier == "member"


def test_rules_see_a_card_as_it_stands() -> None:
    rule = 'member.tier == "gold" && member.tenure_days == 100 && member.region == "north"'
    rule += ' && member.stage == "acceptance" && member.channel == "store"'
    assert compile_condition(rule, MEMBER).holds(facts(made("M1", "gold"), START))
    unknown = compile_condition('member.value_class == "MVC"', MEMBER)
    assert unknown.evaluate(facts(made("M1"), START)).failed_part == unknown.text
