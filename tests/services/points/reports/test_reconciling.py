"""Whatever happens to accounts, every month reconciles, dated either way, and so do the lots."""

from collections import Counter
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.points import AccountMarked, PointsPosted
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.commands import body_of
from services.points.domain.account import Account, Vesting
from services.points.domain.advancing import Advance
from services.points.domain.applying import apply
from services.points.domain.entries import Policy
from services.points.domain.holding import Cancel, Capture, Fulfil, Release
from services.points.domain.moving import Decline, EndSent
from services.points.reports.documents import Made, make
from services.points.reports.walk import Days
from tests.services.points.reports.histories import AMOUNT, RULES, ZONE, History, moment
from tests.services.points.reports.programme import TERMS

OWNERS = ("A", "B")
ACTS = (
    "earn",
    "earn",
    "earn",
    "earn late",
    "take back",
    "hold",
    "capture",
    "release",
    "cancel",
    "fulfil",
    "send",
    "receive",
    "decline",
    "adjust",
    "wait",
)
Act = tuple[str, str, int, int]
acts = st.lists(
    st.tuples(
        st.sampled_from(ACTS), st.sampled_from(OWNERS), st.integers(1, 120), st.integers(0, 25)
    ),
    min_size=1,
    max_size=60,
)


def _vests(rule: str, vesting: Vesting) -> bool:
    return vesting.instalments[0].points % 2 == 0


class Play:
    """A history of random acts; what the domain refuses did not happen."""

    def __init__(self, returns: str) -> None:
        self.history = History(Policy(RULES, returns, _vests))
        self.now = moment(2026, 1, 1)
        self.back: Counter[tuple[str, int]] = Counter()
        self.number = 0

    def act(self, what: str, owner: str, points: int, days: int) -> None:
        self.now += days * DAY // 12
        self.number += 1
        with suppress(ServiceError):
            getattr(self, what.replace(" ", "_"))(owner, points)

    def earn(self, owner: str, points: int) -> None:
        campaign = ("shop", "slow", "bonus", "ever")[points % 4]
        self.history.earn(owner, points, self.now, campaign)

    def earn_late(self, owner: str, points: int) -> None:
        self.history.earn(owner, points, self.now - points * DAY, booked=self.now)

    def take_back(self, owner: str, points: int) -> None:
        mine = [key for key in self.history.earned if key[0] == owner]
        if not mine:
            return
        key = mine[points % len(mine)]
        before, after = self.back[key], min(AMOUNT, self.back[key] + points)
        if after > before:
            self.back[key] = after
            self.history.take_back(owner, key[1], after, self.now, before, self.now)

    def hold(self, owner: str, points: int) -> None:
        self.history.hold(owner, f"h{self.number}", points // 4 + 1, self.now, self.now + 40 * DAY)

    def capture(self, owner: str, points: int) -> None:
        for hold_id, hold in list(self.account(owner).holds.items())[:1]:
            part = min(points, hold.points)
            self.history.do(Capture(owner, hold_id, self.now, "m", part))

    def release(self, owner: str, points: int) -> None:
        for hold_id in list(self.account(owner).holds)[1:2]:
            self.history.do(Release(owner, hold_id, self.now, "m", "no"))

    def cancel(self, owner: str, points: int) -> None:
        for redemption_id in list(self.account(owner).redemptions)[:1]:
            self.history.do(Cancel(owner, redemption_id, self.now, "m", "no"))

    def fulfil(self, owner: str, points: int) -> None:
        for redemption_id in list(self.account(owner).redemptions)[1:2]:
            self.history.do(Fulfil(owner, redemption_id, self.now, "m"))

    def send(self, owner: str, points: int) -> None:
        to = OWNERS[(OWNERS.index(owner) + 1) % len(OWNERS)]
        self.history.send(owner, f"t{self.number}", to, points // 4 + 1, self.now)

    def receive(self, owner: str, points: int) -> None:
        for transfer_id, sent in list(self.account(owner).sent.items())[:1]:
            self.history.receive(sent.other, owner, transfer_id, self.now)
            last = self.history.entries.get(sent.other, [])[-1:]
            accepted = any(entry.kind == "transfer_in" for entry in last)
            self.history.do(EndSent(owner, transfer_id, self.now, accepted, "late"))

    def decline(self, owner: str, points: int) -> None:
        for transfer_id, sent in list(self.account(owner).sent.items())[:1]:
            refusal = Decline(sent.other, owner, transfer_id, self.now, sent.other, "no")
            self.history.do(refusal)
            self.history.do(EndSent(owner, transfer_id, self.now, False, "no"))

    def adjust(self, owner: str, points: int) -> None:
        account = ("adjustment", "compensation")[points % 2]
        self.history.adjust(owner, f"a{self.number}", points - 40 or 1, self.now, account)

    def wait(self, owner: str, points: int) -> None:
        self.now += points // 6 * DAY
        self.history.do(Advance(owner, self.now))

    def account(self, owner: str) -> Account:
        return self.history.accounts.get(owner, Account())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts, st.sampled_from(["unlimited", "within_balance", "only_pending"]))
def test_any_history_reconciles_to_zero_for_every_month_dated_either_way(
    played: list[Act], returns: str
) -> None:
    play = Play(returns)
    for act in played:
        play.act(*act)
    made = make(play.history.walked(play.now), TERMS)
    for by, report in made.movement.items():
        assert [row for row in report.rows if row.difference] == []
        held = _held_at_month_ends(play.history, by)
        for row in report.rows:
            changed = {month: n for month, n in held.items() if month <= row.month}
            assert row.closing == sum(changed.values())
    assert [alert for alert in made.alerts.alerts if alert.kind == "difference"] == []
    _lots_are_what_accounts_hold(made, play)


def _held_at_month_ends(history: History, by: str) -> Counter[str]:
    """What each month changed in what the accounts' lots hold, by the domain's own fold."""
    days, months = Days(ZONE), Counter[str]()
    for facts in history.facts.values():
        account = Account()
        for fact in facts:
            body: PointsPosted | AccountMarked = body_of(fact)
            before = _in_lots(account)
            account = apply(account, body, fact.occurred_at)
            at = fact.occurred_at if by == "value" else fact.posted_at
            months[days.month(at)] += _in_lots(account) - before
    return months


def _in_lots(account: Account) -> int:
    return sum(lot.left + lot.held for lot in account.lots.values())


def _lots_are_what_accounts_hold(made: Made, play: Play) -> None:
    accounts = play.history.accounts.values()
    rows = made.liability.rows
    debts = sum(min(0, lot.left) for account in accounts for lot in account.lots.values())
    assert all(wallet.difference == 0 for wallet in made.liability.wallets)
    assert sum(wallet.negative for wallet in made.liability.wallets) == debts
    assert sum(row.held for row in rows) == sum(sum(each.held.values()) for each in accounts)
    assert sum(row.pending for row in rows) == sum(sum(each.pending.values()) for each in accounts)
    on_their_way = sum(
        parcel.points
        for account in accounts
        for sent in account.sent.values()
        for parcel in sent.parcels
    )
    assert sum(row.in_transit for row in rows) == on_their_way
    transferred = sum(row.transferred for row in made.movement["booking"].rows)
    assert transferred == -on_their_way
