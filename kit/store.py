"""The store of one service: its journals and its views, on whatever the URL names.

``sqlite:DIR``           files in a directory (made when missing)
``sqlite::memory:``      files in a private temporary directory that goes with the store
``mongodb://…/DATABASE`` a MongoDB, or what speaks its protocol
"""

import shutil
import tempfile
from pathlib import Path
from typing import Literal, Protocol

from kit.journal.port import Journal
from kit.journal.sqlite import SqliteJournal
from kit.views.port import Views
from kit.views.sqlite import SqliteViews

Driver = Literal["motor", "pymongo"]


class Store(Protocol):
    """Where a service keeps its journals and views."""

    @property
    def views(self) -> Views:
        """The service's views."""

    def journal(self, name: str) -> Journal:
        """Return the journal of this name; always the same object for the same name."""

    async def close(self) -> None:
        """Close the views, every journal, and what they share."""


class SqliteStore:
    """Files in one directory; several services and processes may share the directory."""

    def __init__(self, directory: Path, service: str, *, temporary: bool = False) -> None:
        self._directory, self._temporary = directory, temporary
        self._journals: dict[str, SqliteJournal] = {}
        self._views = SqliteViews(directory, service)

    @property
    def views(self) -> Views:
        """The service's views, in ``SERVICE.views.db``."""
        return self._views

    def journal(self, name: str) -> Journal:
        """Return the journal in ``NAME.journal.db``."""
        if name not in self._journals:
            self._journals[name] = SqliteJournal(self._directory, name)
        return self._journals[name]

    async def close(self) -> None:
        """Close the files; a temporary directory is removed."""
        for journal in self._journals.values():
            await journal.close()
        await self._views.close()
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)


def open_store(url: str, service: str, driver: Driver = "motor") -> Store:
    """Return the store that ``url`` names, for ``service``. Nothing is connected to yet.

    ``driver`` chooses between Motor and PyMongo's AsyncMongoClient; SQLite has no use for it.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest == ":memory:":
        return SqliteStore(Path(tempfile.mkdtemp(prefix="mooring-")), service, temporary=True)
    if scheme == "sqlite" and rest:
        return SqliteStore(Path(rest.removeprefix("//")), service)
    if scheme in ("mongodb", "mongodb+srv"):
        # An embedded process must not import a driver: it is half of the start-up time.
        from kit.mongo.store import MongoStore

        return MongoStore(url, service, driver)
    raise ValueError(f"{url!r} names no store: sqlite:DIR, sqlite::memory: or mongodb://…")
