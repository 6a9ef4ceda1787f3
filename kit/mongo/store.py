"""The store in MongoDB: one client, and collections named after their owners.

``NAME.journal`` for a journal, ``SERVICE.views.COLLECTION`` for a view; all in the database that
the URL names (``mooring`` when it names none), so services may share one or have one each.
"""

from kit.journal.mongo import MongoJournal
from kit.journal.port import Journal
from kit.mongo.driver import Client, Driver
from kit.views.mongo import MongoViews
from kit.views.port import Views


class MongoStore:
    """The journals and views of one service."""

    def __init__(self, url: str, service: str, driver: Driver) -> None:
        self._client = Client(url, driver)
        self._journals: dict[str, MongoJournal] = {}
        self._views = MongoViews(self._client, service)

    @property
    def views(self) -> Views:
        """The service's views."""
        return self._views

    def journal(self, name: str) -> Journal:
        """Return the journal of this name."""
        if name not in self._journals:
            self._journals[name] = MongoJournal(self._client, name)
        return self._journals[name]

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()
