"""How entries become documents: one snapshot per account, folded from its entries."""

from collections.abc import Mapping
from typing import Any

from contracts.envelope import Fact
from contracts.points import PointsPosted
from kit.clock import Clock
from kit.journal.port import Journal
from kit.streams import Streams
from kit.views.port import Collection, Views
from services.points.domain.account import Account, Earn, TakeBack, apply

ACCOUNTS = Collection("accounts")
SNAPSHOT_EVERY = 16
Command = Earn | TakeBack
Accounts = Streams[Account, Command]


class AccountFold:
    """Fold a stream of entries into an account."""

    state_type = Account
    bodies: Mapping[str, type] = {"PointsPosted": PointsPosted}

    def initial(self, owner: str) -> Account:
        """An account that has never been posted to."""
        return Account()

    def apply(self, state: Account, fact: Fact, body: Any) -> Account:
        """The account after an entry."""
        return apply(state, body)


def accounts(journal: Journal, views: Views, clock: Clock) -> Accounts:
    """Return the accounts: streams ``account:{member_id}`` of the journal ``points.entries``.

    A snapshot is written every 16 entries: a cold start reads a page of at most 15, and a hot
    account does not rewrite its document with every purchase.
    """
    return Streams(
        "account", journal, views, ACCOUNTS, AccountFold(), clock, snapshot_every=SNAPSHOT_EVERY
    )
