"""Defects planted in copies of the ledger, one at a time, and what must find each.

A plant replaces a piece of one file's text in a copy of ``services``; a process of its own imports
that copy and hunts: with the property test's machine, or with one named example.
"""

from dataclasses import dataclass

MACHINE = ""


@dataclass(frozen=True)
class Plant:
    name: str
    file: str
    text: str
    instead: str
    found_by: str = MACHINE
    examples: int = 500


PLANTED = (
    Plant(
        "a return forgets what expired",
        "earning",
        'take("breakage", target, own.expired)',
        "pass",
    ),
    Plant(
        "a return forgets what was forfeited while it waited",
        "earning",
        'take("breakage", lot, waiting.expired)',
        "pass",
    ),
    Plant(
        "a return takes from what is free before what waits",
        "earning",
        'take("pending", lot, waiting.left)',
        "pass",
    ),
    Plant(
        "returns forgive under the policy unlimited",
        "earning",
        'if rest and policy.returns == "unlimited":',
        "if False:",
    ),
    Plant(
        "a return in parts rounds each part by itself",
        "earning",
        "points * part.after // amount - points * part.before // amount",
        "points * (part.after - part.before) // amount",
    ),
    Plant(
        "a decision is posted again",
        "earning",
        "    if command.seq <= course.account.absorbed:\n        return\n    granted",
        "    granted",
    ),
    Plant(
        "earnings do not fill a debt",
        "earning",
        "if debt_lot(wallet) in account.lots:",
        "if False:",
    ),
    Plant(
        "what slides is not moved by a visit",
        "earning",
        "if not lot.empty and at < lot.expires < expires and slides(name, rule):",
        "if False:",
    ),
    Plant(
        "an earlier activity shortens what slides",
        "entries",
        "0 < known.expires < each.expires",
        "known.expires",
    ),
    Plant(
        "what comes back after its expiry lives again",
        "entries",
        "if 0 < expires <= now:",
        "if False:",
    ),
    Plant(
        "what expires last is spent first",
        "entries",
        "return [(name, left) for _, name, left in sorted(lots)]",
        "return [(name, left) for _, name, left in sorted(lots, reverse=True)]",
    ),
    Plant(
        "more can be spent than there is",
        "entries",
        "if points > available:",
        "if points > available + 1:",
    ),
    Plant(
        "time passes without holds timing out",
        "account",
        "for hold in account.holds.values():",
        "for hold in ():",
    ),
    Plant(
        "a hold times out a moment late",
        "account",
        "due = min(due, hold.until)",
        "due = min(due, hold.until + 1)",
    ),
    Plant(
        "what waits does not expire",
        "account",
        "if 0 < lot.expires < due:",
        'if 0 < lot.expires < due and "~" not in name:',
    ),
    Plant(
        "what opens does not fill a debt",
        "advancing",
        "        *fill_debt(course.account, lot.wallet, [(target, lot.left)]),\n    ]\n    key",
        "    ]\n    key",
    ),
    Plant(
        "a bonus vests whatever the member does",
        "advancing",
        "if not policy.vests(vesting.rule, vesting):",
        "if False:",
    ),
    Plant(
        "the account's clock goes back",
        "advancing",
        "now = max(to, course.account.at)",
        "now = to",
    ),
    Plant(
        "a hold is captured twice",
        "applying",
        "    holds = _without(after.holds, terms.hold_id)\n    if terms.reward_id is None:\n"
        "        return replace(after, holds=holds)\n    paid",
        "    holds = after.holds\n    if terms.reward_id is None:\n"
        "        return replace(after, holds=holds)\n    paid",
    ),
    Plant(
        "a part capture keeps the rest",
        "holding",
        "if part > paid:",
        "if False:",
    ),
    Plant(
        "a cancelled redemption still counts against its limit",
        "applying",
        "    after = replace(after, redemptions=_without(after.redemptions, terms.hold_id))\n"
        "    return _not_redeemed(after, terms)",
        "    return replace(after, redemptions=_without(after.redemptions, terms.hold_id))",
    ),
    Plant(
        "a progress of vesting is not counted",
        "applying",
        "vesting.purchases + progress.purchases,",
        "vesting.purchases,",
    ),
    Plant(
        "a transfer is booked back twice",
        "applying",
        "return replace(after, sent=_without(after.sent, _told_transfer(entry).transfer_id))",
        "return after",
    ),
    Plant(
        "a pool takes points from anybody",
        "moving",
        "if joined is None or not joined.joined:",
        "if False:",
    ),
    Plant(
        "what expired on its way counts as put in",
        "applying",
        'points -= sum(p.amount for p in entry.postings if p.account.startswith("breakage/"))',
        "pass",
        "test_households:test_what_expires_on_its_way_into_a_pool_is_no_contribution",
    ),
    Plant(
        "a fair share is rounded up",
        "moving",
        "left * leaver.contributed // put_in if put_in",
        "-(-left * leaver.contributed // put_in) if put_in",
    ),
    Plant(
        "who was only invited takes the pool home",
        "moving",
        "return member.joined and sum",
        "return sum",
    ),
    Plant(
        "contributors spend from the pool",
        "holding",
        'require_role(account, command.owner, command.by, ("owner", "spender"))',
        "pass",
    ),
    Plant(
        "one person approves their own request",
        "adjusting",
        "if asked.by == command.by:",
        "if False:",
    ),
    Plant(
        "a request is approved twice",
        "applying",
        "return replace(after, requests=_without(after.requests, entry.adjustment.request_id))",
        "return after",
    ),
    Plant(
        "a month is added by its days",
        "terms",
        "last = add_months(day, expiry.months) + timedelta(days=expiry.days)",
        "last = day + timedelta(days=30 * expiry.months + expiry.days)",
    ),
)
