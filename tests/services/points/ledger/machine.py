"""Any history of accounts: rules that draw few and small values, and something for each to do.

Rules are few and fat because hypothesis leaves out half of them in each history.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kit.clock import DAY
from tests.services.points.ledger.acts import MEMBERS, OWNERS, Acts
from tests.services.points.ledger.book import HOUR

MINUTE = 60_000_000
MIXES = (
    ("plain",),
    ("month",),
    ("later",),
    ("await",),
    ("slide",),
    ("bonus",),
    ("bonus", "slide"),
    ("bonus", "await"),
    ("month", "later"),
    ("slide", "await"),
    ("plain", "slide"),
)
members = st.sampled_from((*MEMBERS, "M1", "M2"))
owners = st.sampled_from((*OWNERS, "M1", "M2"))
amounts = st.integers(1, 12)
indexes = st.integers(0, 3)


class LedgerMachine(RuleBasedStateMachine):
    """The ledger and the model, side by side (tests.services.points.ledger.acts)."""

    @initialize(
        returns=st.sampled_from(("unlimited", "unlimited", "within_balance", "only_pending")),
        crash=st.integers(0, 3),
        household=st.sampled_from(("none", "pair", "all", "all")),
    )
    def start(self, returns: str, crash: int, household: str) -> None:
        self.acts = Acts(returns, crash)
        if household != "none":
            self.acts.settle_in(("M2",) if household == "pair" else ("M2", "M3"))

    @rule(
        what=st.sampled_from(("buy", "buy", "late", "later", "visit", "past visit", "deliver")),
        who=members,
        mix=st.sampled_from(MIXES),
        n=st.integers(0, 24),
        index=indexes,
    )
    def something_happens(
        self, what: str, who: str, mix: tuple[str, ...], n: int, index: int
    ) -> None:
        acts = self.acts
        acts.time_passes(n * n * HOUR)
        if what.endswith("visit"):
            acts.visit(who, 30 if what == "past visit" else 0)
        elif what == "deliver" and acts.bought:
            acts.deliver(index)
        else:
            acts.buy(who, mix, n, index * 2, {"late": 20, "later": 70}.get(what, 0) * DAY)

    @rule(index=indexes, line=st.integers(0, 2), part=st.integers(1, 3))
    def a_purchase_comes_back(self, index: int, line: int, part: int) -> None:
        """A part of one line, or all that is left of both."""
        self.acts.give_back(index, line, part)

    @rule(
        what=st.sampled_from(
            ("hold", "cup", "bag", "capture", "part", "release", "end", "cancel", "cancel")
        ),
        who=owners,
        n=st.integers(0, 14),
        index=indexes,
    )
    def points_are_held(self, what: str, who: str, n: int, index: int) -> None:
        acts = self.acts
        acts.time_passes(index * DAY)
        if what in ("capture", "part", "release") and acts.holds:
            acts.end_hold(index, what)
        elif what in ("end", "cancel") and acts.paid:
            acts.end_redemption(index, what == "cancel")
        else:
            reward = {"cup": "cup", "bag": "bag", "cancel": "cup"}.get(what)
            by = MEMBERS[n % 3]
            acts.place(who, n, (1, 30, 900, 2000)[index], by, reward)
            if reward and n % 3:
                acts.end_hold(0, "capture")

    @rule(
        what=st.sampled_from(("send", "at once", "receive", "receive", "decline", "end")),
        who=owners,
        to=owners,
        n=amounts,
        index=indexes,
    )
    def points_move(self, what: str, who: str, to: str, n: int, index: int) -> None:
        if what in ("receive", "decline", "end") and self.acts.flying:
            self.acts.carry(index, what)
        else:
            self.acts.send(who, to, n, what == "at once", MEMBERS[index % 3])

    @rule(
        what=st.sampled_from(("give", "give", "give", "leave", "invite", "join", "found")),
        who=members,
        n=amounts,
    )
    def the_pool_changes(self, what: str, who: str, n: int) -> None:
        if what == "give":
            self.acts.give(who, n)
        else:
            self.acts.pool(what, who, n % 2 == 0)

    @rule(
        what=st.sampled_from(("adjust", "approve", "reject")),
        who=members,
        n=st.integers(-20, 20),
        index=indexes,
    )
    def an_agent_corrects(self, what: str, who: str, n: int, index: int) -> None:
        agent = f"agent{index % 2}"
        if what != "adjust" and self.acts.requests:
            self.acts.second(n % 4, agent, what == "approve")
        else:
            self.acts.adjust(who, n, agent)

    @rule(
        what=st.sampled_from(("goes on", "duty", "duty", "goes back")),
        who=owners,
        by=st.sampled_from((MINUTE, 9 * HOUR, DAY, 3 * DAY, 8 * DAY, 21 * DAY, 32 * DAY)),
    )
    def the_clock(self, what: str, who: str, by: int) -> None:
        self.acts.time_passes(-by if what == "goes back" else by)
        if what == "duty":
            self.acts.the_duty_runs(who)

    @rule(index=st.integers(0, 31))
    def it_comes_again(self, index: int) -> None:
        self.acts.again(index)

    def teardown(self) -> None:
        if hasattr(self, "acts"):
            self.acts.check_all()
