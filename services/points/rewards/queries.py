"""Reads: rewards, their stock, and what a member may redeem."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.members import MemberCard
from kit.rules import compile_condition
from kit.views.port import Query
from programmes.vocabularies import MEMBER
from services.points.cards import as_of, card, facts
from services.points.domain.account import Account, Redeemed
from services.points.domain.catalogue import (
    Candidate,
    Phase,
    Reason,
    Reward,
    no_such_reward,
    phase,
    reasons,
)
from services.points.domain.stock import Slice
from services.points.rewards.commands import shelf_of
from services.points.rewards.stock import Shelf
from services.points.rewards.views import REWARDS
from services.points.rewards.wiring import Rewards

LATELY_SECONDS = 1.0
SCAN_PAGE = 200
MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """A reward as somebody sees it; ``left`` is None when there is no limit to its stock."""

    reward: Reward
    phase: Phase
    left: int | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list, and the id to go on behind."""

    items: list[Shown]
    next: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the catalogue sees them."""

    card: MemberCard | None
    account: Account

    def tier(self, now: int) -> str | None:
        """The tier now; None without a card."""
        return as_of(self.card, now).tier if self.card else None


async def reward(rewards: Rewards, reward_id: str) -> Reward:
    """Return a reward's newest version. Raises ServiceError ``missing``."""
    head = (await rewards.catalogue.heads([reward_id], fresh=True))[reward_id]
    if head.state.defined is None:
        raise no_such_reward(reward_id)
    return head.state


async def reward_lately(rewards: Rewards, reward_id: str) -> Reward:
    """Return a reward as it was at most a second ago: what everybody redeems is read seldom.

    Of what this process changes nothing is missed. Raises ServiceError ``missing``.
    """
    begun = time.monotonic()
    if begun < rewards.read_at.get(reward_id, -LATELY_SECONDS) + LATELY_SECONDS:
        state = (await rewards.catalogue.heads([reward_id]))[reward_id].state
        if state.defined is not None:
            return state
    found = await reward(rewards, reward_id)
    rewards.read_at[reward_id] = begun
    return found


async def shown(rewards: Rewards, reward_id: str, tier: str | None = None) -> Shown:
    """Return a reward with what is left of it."""
    found = await reward(rewards, reward_id)
    left = await _left(rewards, [found])
    return Shown(found, phase(found, rewards.clock(), tier), left.get(reward_id))


async def page(
    rewards: Rewards, phases: Sequence[Phase], limit: int, after: str | None, tier: str | None
) -> Page:
    """Return rewards in these phases, by id; phases as a member of ``tier`` sees them."""
    now = rewards.clock()
    equals = {} if "retired" in phases else {"state": "offered"}
    found: list[Shown] = []
    for _ in range(MOST_PAGES):
        query = Query(equals=equals, after=_behind(after), limit=SCAN_PAGE)
        documents = await rewards.views.find(REWARDS, query)
        states = await _states(rewards, [document.id for document in documents])
        left = await _left(rewards, states)
        for each in states:
            assert each.defined is not None
            after = each.defined.reward_id
            if (stands := phase(each, now, tier)) in phases:
                found.append(Shown(each, stands, left.get(after)))
                if len(found) == limit:
                    return Page(found, after)
        if len(documents) < SCAN_PAGE:
            return Page(found, None)
    return Page(found, after)


async def for_member(
    rewards: Rewards, member_id: str, limit: int, after: str | None, only_redeemable: bool
) -> Page:
    """Return what is offered now or soon, each with what keeps the member from redeeming it."""
    now = rewards.clock()
    member = Member(await card(rewards.views, member_id), await rewards.account_of(member_id, now))
    found = await page(rewards, ("live", "upcoming"), limit, after, member.tier(now))
    items = [
        Shown(each.reward, each.phase, each.left, tuple(why_not(each, member, now)))
        for each in found.items
    ]
    if only_redeemable:
        items = [each for each in items if not each.reasons]
    return Page(items, found.next)


def why_not(each: Shown, member: Member, now: int, quantity: int = 1) -> list[Reason]:
    """Everything that keeps a member from redeeming a reward; empty: nothing does."""
    defined = each.reward.defined
    assert defined is not None
    candidate = Candidate(
        tier=member.tier(now),
        spendable=member.account.balances,
        redeemed=member.account.redeemed.get(defined.reward_id, Redeemed()),
        left=each.left,
        failed=failed(defined.eligibility, member.card, now),
    )
    return reasons(each.reward, candidate, now, quantity)


def failed(rule: str | None, known: MemberCard | None, now: int) -> str | None:
    """The first part of a rule that does not hold for a card; None when all of it does."""
    if rule is None or known is None:
        return None
    outcome = compile_condition(rule, MEMBER).evaluate(facts(known, now))
    return None if outcome.holds else outcome.failed_part or rule


async def slices(rewards: Rewards, reward_id: str) -> list[Slice]:
    """Return a reward's slices of stock, read fresh. Raises ServiceError."""
    found = await reward(rewards, reward_id)
    assert found.defined is not None
    owners = shelf_of(found.defined).owners
    heads = await rewards.shop.streams.heads(owners, fresh=True)
    return [heads[owner].state for owner in owners]


async def _states(rewards: Rewards, ids: Sequence[str]) -> list[Reward]:
    """The rewards in a list as they are now; the list itself may be a moment behind."""
    heads = await rewards.catalogue.heads(ids, fresh=True) if ids else {}
    return [heads[reward_id].state for reward_id in ids]


async def _left(rewards: Rewards, states: Sequence[Reward]) -> dict[str, int]:
    shelves = [
        Shelf(each.defined.reward_id, each.defined.slices)
        for each in states
        if each.defined is not None and each.defined.slices
    ]
    return await rewards.shop.left_lately(shelves)


def _behind(after: str | None) -> tuple[None, str] | None:
    return None if after is None else (None, after)
