"""Spend within the tier window, in buckets of a day. The tier is a function of the total."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from services.members.domain.rules import Rules
from services.members.domain.state import Spend


def spent(spend: Spend, day: int, amount: int) -> Spend:
    """Add to a day's bucket (or take from it); a bucket that comes to nothing is gone."""
    if not amount:
        return spend
    days = spend.days
    if not days or days[-1] < day:  # in order, as nearly always
        return Spend((*days, day), (*spend.amounts, amount), spend.total + amount)
    at = bisect_left(days, day)
    if days[at] == day:
        return _changed(spend, at, amount)
    return Spend(
        (*days[:at], day, *days[at:]),
        (*spend.amounts[:at], amount, *spend.amounts[at:]),
        spend.total + amount,
    )


def _changed(spend: Spend, at: int, amount: int) -> Spend:
    left, total = spend.amounts[at] + amount, spend.total + amount
    if left:
        amounts = (*spend.amounts[:at], left, *spend.amounts[at + 1 :])
        return Spend(spend.days, amounts, total)
    days = spend.days[:at] + spend.days[at + 1 :]
    return Spend(days, spend.amounts[:at] + spend.amounts[at + 1 :], total)


def within(spend: Spend, today: int, rules: Rules) -> Spend:
    """Leave out the buckets that are no longer in the window on ``today``."""
    oldest = today - rules.window_days
    if not spend.days or spend.days[0] > oldest:
        return spend
    at = bisect_left(spend.days, oldest + 1)
    gone = sum(spend.amounts[:at])
    return Spend(spend.days[at:], spend.amounts[at:], spend.total - gone)


def tier_of(total: int, rules: Rules) -> int:
    """The place of the highest tier that this spend reaches."""
    tiers = rules.tiers
    index = len(tiers) - 1
    while index > 0 and total < tiers[index].spend:
        index -= 1
    return index


def drops(spend: Spend, rules: Rules) -> dict[int, int]:
    """When the tier will drop if nothing more is spent: the tier's place by instant, in order.

    A tier is lost with the first bucket that takes more out of the window than was to spare.
    """
    index = tier_of(spend.total, rules)
    if not index:
        return {}
    gone = list(accumulate(spend.amounts))
    found: dict[int, int] = {}
    for place in range(index, 0, -1):
        bucket = bisect_right(gone, spend.total - rules.tiers[place].spend)
        day = spend.days[bucket] + rules.window_days
        found[rules.calendar.start(day)] = place - 1
    return found
