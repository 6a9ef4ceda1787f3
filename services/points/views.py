"""How facts become documents: one snapshot per account, and when time next changes each."""

from collections.abc import Mapping
from typing import Any

from contracts.envelope import Fact
from contracts.points import AccountMarked, PointsPosted
from kit.clock import Clock
from kit.journal.port import Journal
from kit.streams import Streams
from kit.views.port import Collection, Views
from services.points.domain.account import Account
from services.points.domain.applying import apply
from services.points.domain.deciding import Command

ACCOUNTS = Collection("accounts")
DUE = Collection("accounts_due", fields={"due": int}, indexes=(("due",),))
"""By owner: when time alone next changes the account, or one of its transfers runs out. No body."""

SNAPSHOT_EVERY = 16
Ledger = Streams[Account, Command]


class AccountFold:
    """Fold a stream of entries into an account."""

    state_type = Account
    bodies: Mapping[str, type] = {"PointsPosted": PointsPosted, "AccountMarked": AccountMarked}

    def initial(self, owner: str) -> Account:
        """An account that has never been posted to."""
        return Account()

    def apply(self, state: Account, fact: Fact, body: Any) -> Account:
        """The account after an entry or a mark."""
        return apply(state, body, fact.occurred_at)


def ledger(journal: Journal, views: Views, clock: Clock) -> Ledger:
    """Return the accounts: streams ``account:{owner}`` of the journal ``points.entries``.

    A snapshot is written every 16 facts: a cold start reads a page of at most 15, and a hot
    account does not rewrite its document with every purchase.
    """
    return Streams(
        "account", journal, views, ACCOUNTS, AccountFold(), clock, snapshot_every=SNAPSHOT_EVERY
    )
