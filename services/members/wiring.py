"""From settings to adapters: the only module of the service that chooses them."""

from dataclasses import dataclass
from pathlib import Path

import programmes
from kit.bus.halts import HALTED
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES
from kit.views.port import Views
from programmes.model import Programme, load_programme
from services.members.domain.rules import Rules
from services.members.keeping import Keeper
from services.members.programme import rules_of
from services.members.views import FILES, RELATIONSHIPS

SERVICE = "members"
DEFAULT_PROGRAMME = Path(programmes.__file__).with_name("five_star.yaml")
FILES_JOURNAL = "members.files"
RELATIONSHIPS_JOURNAL = "members.relationships"


@dataclass(frozen=True)
class Wiring:
    """What the members service works with; close it when done.

    ``files`` is the journal of the member files (written by the API), ``relationships`` the one of
    tier and stage changes (written by the worker).
    """

    store: Store
    files: Journal
    relationships: Journal
    programme: Programme
    rules: Rules
    keeper: Keeper
    clock: Clock

    @property
    def views(self) -> Views:
        """The service's documents."""
        return self.store.views

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.files.prepare()
        await self.relationships.prepare()
        await self.views.prepare([RELATIONSHIPS, FILES, HALTED, LEASES])

    async def close(self) -> None:
        """Release the store."""
        await self.store.close()


def wire(
    settings: StoreSettings, clock: Clock = system_clock, programme: Path = DEFAULT_PROGRAMME
) -> Wiring:
    """Open the service's store and read the programme. Nothing is connected to yet."""
    read = load_programme(programme)
    rules = rules_of(read)
    store = open_store(settings.url, SERVICE, settings.driver)
    relationships = store.journal(RELATIONSHIPS_JOURNAL)
    keeper = Keeper(store.views, relationships, rules, clock)
    return Wiring(store, store.journal(FILES_JOURNAL), relationships, read, rules, keeper, clock)


def scratch_store() -> Store:
    """A store that is gone when it is closed: for folding once more, beside the real one."""
    return open_store("sqlite::memory:", SERVICE)
