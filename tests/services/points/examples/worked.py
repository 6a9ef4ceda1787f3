"""The worked example of docs/ledger.md, made by the domain itself.

``python -m tests.services.points.examples.worked`` prints it anew.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import PointsPosted
from kit.clock import from_micros, to_micros
from services.points.domain.account import Account
from services.points.domain.advancing import Advance
from services.points.domain.deciding import Command, decide
from services.points.domain.earning import Earn, Earned, TakeBack, credits
from services.points.domain.entries import Policy
from services.points.domain.holding import Capture, PlaceHold
from services.points.domain.terms import Activation, Expiry, LotRule, LotRules

MEMBER = "M1"
ZONE = ZoneInfo("America/New_York")
RULE = LotRule(Activation(days=14), Expiry("rolling", months=3, rounded_to="month"))
POLICY = Policy(LotRules(ZONE, {"base": RULE}))
GRANTS = (Grant("base", "base", 100, ((1, 6_000, 60), (2, 4_000, 40))),)


def at(month: int, day: int, hour: int = 12) -> int:
    """A moment of 2026, in microseconds."""
    return to_micros(datetime(2026, month, day, hour, tzinfo=UTC))


def steps() -> Iterator[tuple[str, Command]]:
    """What happens, in words and as commands."""
    bought = at(1, 10)
    granted = credits(POLICY.lots, GRANTS, "member", bought, "act_1", 1)
    yield (
        "10 January: a purchase of $100 in two lines, $60 and $40, earns 100 points. They can be "
        "spent after 14 days and are good until the end of the third month, April.",
        Earn(MEMBER, "act_1", 1, bought, GRANTS, granted),
    )
    yield (
        "2 February: a reward for 70 points is reserved. First the account's time passes: the "
        "points have opened on 24 January.",
        PlaceHold(
            MEMBER, "request-1", "rdm_1", "base", 70, at(2, 2), at(2, 3), "reward", MEMBER, "mug"
        ),
    )
    yield ("The same day it is confirmed.", Capture(MEMBER, "rdm_1", at(2, 2, 13), MEMBER))
    lines = (ReturnedLine(2, 4_000, 0, 4_000),)
    back = ReturnedPurchase("act_1", 1, bought, 4_000, False, lines)
    earned = Earned(GRANTS, tuple(each.terms.lot for each in granted))
    yield (
        "20 February: the second line comes back. It earned 40 points; 30 of the lot are left, so "
        "10 are missing and the balance goes below zero.",
        TakeBack(MEMBER, "act_2", 2, at(2, 20), back, earned),
    )
    more = (Grant("base", "base", 50, ((1, 5_000, 50),)),)
    bought_again = at(3, 1)
    yield (
        "1 March: another purchase earns 50 points, good until the end of June.",
        Earn(
            MEMBER,
            "act_3",
            3,
            bought_again,
            more,
            credits(POLICY.lots, more, "member", bought_again, "act_3", 3),
        ),
    )
    yield (
        "30 June is over: the points opened on 15 March and filled the debt first; what was not "
        "spent expires.",
        Advance(MEMBER, at(7, 1)),
    )


def lines() -> Iterator[str]:
    """The example as Markdown."""
    account = Account()
    for words, command in steps():
        yield f"**{words}**"
        yield ""
        yield "| entry | at | account | lot | points |"
        yield "|---|---|---|---|---:|"
        for step in decide(account, command, POLICY):
            assert isinstance(step.fact, PointsPosted)
            moment = from_micros(step.at).astimezone(ZONE).strftime("%Y-%m-%d %H:%M")
            for posting in step.fact.postings:
                yield (
                    f"| {step.fact.kind} | {moment} | `{posting.account}` | `{posting.lot}` "
                    f"| {posting.amount:+} |"
                )
            account = step.after
        yield ""
        spendable, waiting = account.balances.get("base", 0), account.pending.get("base", 0)
        yield (
            f"To spend: {spendable}; waiting: {waiting}; held: {account.held.get('base', 0)}; "
            f"spent: {account.totals['base'].spent}; expired: {account.totals['base'].expired}; "
            f"returned: {account.totals['base'].reversed}."
        )
        yield ""


def document() -> str:
    """The whole example."""
    return "\n".join(lines())


if __name__ == "__main__":
    print(document())
