"""From settings to adapters: the only module of the service that chooses them."""

from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

import programmes
from kit.bus.halts import HALTED
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES
from programmes.model import Programme, load_programme
from services.points import queries
from services.points.cards import CARDS
from services.points.domain.account import Account
from services.points.duties import Duties
from services.points.following import Follower
from services.points.listing import COLLECTIONS as LISTS
from services.points.policy import Rules, rules_of
from services.points.remarks import REMARKS, Remarks
from services.points.reports.wiring import Reports, reports
from services.points.rewards.meters import VelocityMeters
from services.points.rewards.redemptions import Redemptions
from services.points.rewards.wiring import Rewards, rewards
from services.points.sealing.wiring import Sealing, sealing
from services.points.views import ACCOUNTS, DUE, Ledger, ledger
from services.points.vouchers.issuing import issue
from services.points.vouchers.wiring import Vouchers, vouchers

SERVICE = "points"
ENTRIES_JOURNAL = "points.entries"
DEFAULT_PROGRAMME = Path(programmes.__file__).with_name("five_star.yaml")


@dataclass(frozen=True)
class Wiring:
    """What the points service works with; close it when done.

    The first few are the accounts'; each of the others is a part of the service with its own
    journal, put together in that part's own ``wiring``.
    """

    store: Store
    entries: Journal
    ledger: Ledger
    rules: Rules
    follower: Follower
    duties: Duties
    remarks: Remarks
    rewards: Rewards
    redemptions: Redemptions
    vouchers: Vouchers
    chain: Sealing
    reports: Reports
    clock: Clock

    @property
    def meters(self) -> VelocityMeters:
        """How fast points go through devices and to payees."""
        return self.rewards.meters

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.entries.prepare()
        await self.store.views.prepare([ACCOUNTS, DUE, CARDS, *LISTS, REMARKS, HALTED, LEASES])
        for part in (self.rewards, self.redemptions, self.vouchers, self.chain, self.reports):
            await part.prepare()

    async def close(self) -> None:
        """Finish what is done behind the answers, then release the store."""
        await self.rewards.shop.idle()
        await self.redemptions.notes.idle()
        await self.store.close()


def wire(
    settings: StoreSettings, clock: Clock = system_clock, programme: Path = DEFAULT_PROGRAMME
) -> Wiring:
    """Open the service's store and read the programme. Nothing is connected to yet."""
    read = load_programme(programme)
    store = open_store(settings.url, SERVICE, settings.driver)
    return _parts(store, read, rules_of(read), clock)


def _parts(store: Store, programme: Programme, rules: Rules, clock: Clock) -> Wiring:
    entries = store.journal(ENTRIES_JOURNAL)
    accounts = ledger(entries, store.views, clock)
    follower = Follower(accounts, store.views, rules)

    async def account_of(member_id: str, now: int) -> Account:
        return (await queries.account(accounts, rules, member_id, now))[1]

    catalogue = rewards(store, clock, programme, account_of)
    codes = vouchers(store, clock, currency=programme.currency)

    def issue_voucher(series_id: str, member_id: str, key: str) -> Awaitable[object]:
        return issue(codes, series_id, member_id, key)

    return Wiring(
        store,
        entries,
        accounts,
        rules,
        follower,
        Duties(accounts, store.views, rules, clock, follower),
        Remarks(store.views, clock),
        catalogue,
        Redemptions(catalogue, accounts, rules, clock, issue_voucher),
        codes,
        sealing(store, clock),
        reports(entries, store.views, clock, programme),
        clock,
    )
