"""Any history of decisions, redeliveries and restarts keeps the ledger's invariants."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from contracts.envelope import Fact
from kit.settings import StoreSettings
from services.points import audit, queries
from services.points.commands import post_decisions
from services.points.rebuild import rebuild
from services.points.wiring import Wiring, wire
from tests.services.points.decisions import granted, returned, withheld
from tests.services.starting import TestClock

MEMBERS = ("M1", "M2")
AMOUNT = 1000


class LedgerMachine(RuleBasedStateMachine):
    """The ledger against a model: a dictionary of balances."""

    purchases = Bundle("purchases")

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="mooring-ledger-"))
        self.clock = TestClock()
        self.newest = self.clock.now
        self.decided: dict[str, list[Fact]] = {member: [] for member in MEMBERS}
        self.model = dict.fromkeys(MEMBERS, 0)
        self.given_back: dict[tuple[str, int], int] = {}
        self.remembered: list[tuple[str, int, dict[str, int]]] = []
        self.wiring = self._open()

    def _open(self) -> Wiring:
        wiring = wire(StoreSettings("sqlite", f"sqlite:{self.folder}"), self.clock)
        self.loop.run_until_complete(wiring.prepare())
        return wiring

    def _post(self, member: str, fact: Fact) -> None:
        self.decided[member].append(fact)
        self.loop.run_until_complete(post_decisions(self.wiring.ledger, self.wiring.rules, [fact]))

    def _next(self, member: str) -> int:
        return len(self.decided[member]) + 1

    @rule(target=purchases, member=st.sampled_from(MEMBERS), points=st.integers(0, 999))
    def earn(self, member: str, points: int) -> tuple[str, int, int]:
        seq = self._next(member)
        self._post(member, granted(member, seq, points, AMOUNT))
        self.model[member] += points
        return member, seq, points

    @rule(member=st.sampled_from(MEMBERS))
    def withhold(self, member: str) -> None:
        self._post(member, withheld(member, self._next(member)))

    @rule(purchase=purchases, share=st.integers(1, AMOUNT))
    def give_back(self, purchase: tuple[str, int, int], share: int) -> None:
        member, seq, points = purchase
        before = self.given_back.get((member, seq), 0)
        after = min(before + share, AMOUNT)
        if after == before:
            return
        self._post(member, returned(member, self._next(member), seq, before, after, AMOUNT))
        self.given_back[member, seq] = after
        self.model[member] -= points * after // AMOUNT - points * before // AMOUNT

    @rule(member=st.sampled_from(MEMBERS), data=st.data())
    def redeliver(self, member: str, data: st.DataObject) -> None:
        facts = self.decided[member]
        start = data.draw(st.integers(0, len(facts)))
        self.loop.run_until_complete(
            post_decisions(self.wiring.ledger, self.wiring.rules, facts[start:])
        )

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.wiring.close())
        self.wiring = self._open()

    @rule()
    def rebuild(self) -> None:
        self.loop.run_until_complete(rebuild(self.wiring))

    @rule(seconds=st.integers(-3600, 36_000))
    def move_the_clock(self, seconds: int) -> None:
        """A clock may be set back, and machines may differ, by less than what settling allows."""
        self.newest = max(self.newest, self.clock.now)
        earliest = self.newest - queries.SETTLED_AFTER + 1
        self.clock.now = max(self.clock.now + seconds * 1_000_000, earliest)

    @rule(member=st.sampled_from(MEMBERS))
    def remember_a_past_balance(self, member: str) -> None:
        at = self.clock.now - queries.SETTLED_AFTER
        found = self.loop.run_until_complete(
            queries.balances_as_of(self.wiring.entries, member, at, self.clock)
        )
        self.remembered.append((member, at, found.wallets))

    @invariant()
    def balances_are_the_models(self) -> None:
        for member in MEMBERS:
            found = self.loop.run_until_complete(
                queries.balances(self.wiring.ledger, self.wiring.rules, member, self.clock())
            )
            assert found.wallets.get("base", 0) == self.model[member]

    @invariant()
    def the_auditor_finds_nothing(self) -> None:
        assert self.loop.run_until_complete(audit.findings(self.wiring)) == []

    def teardown(self) -> None:
        if hasattr(self, "wiring"):
            self._past_balances_are_unchanged()
            self.loop.run_until_complete(self.wiring.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    def _past_balances_are_unchanged(self) -> None:
        self.clock.now += 10**12
        for member, at, wallets in self.remembered:
            found = self.loop.run_until_complete(
                queries.balances_as_of(self.wiring.entries, member, at, self.clock)
            )
            assert found.wallets == wallets


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
