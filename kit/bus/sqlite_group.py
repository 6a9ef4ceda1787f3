"""One consumer group in one SQLite file: its members, who owns which partition, what is committed.

Every member computes the same sharing from the table of living members. It takes a partition only
when nobody owns it, and gives one up only when nothing polled from it is uncommitted, so an
orderly hand-over repeats nothing. A member that stops renewing is struck off; taking over its
partition raises the epoch, and a commit with an older epoch touches no row: that is the fence.

``synchronous=NORMAL``: a power cut may lose the last commits, which only means redelivery.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.bus.sqlite_file import open_file, writing

_TABLES = """
CREATE TABLE IF NOT EXISTS generation (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER);
CREATE TABLE IF NOT EXISTS members (
    member TEXT PRIMARY KEY, topics TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
    topic TEXT, number INTEGER, owner TEXT, epoch INTEGER NOT NULL, committed INTEGER NOT NULL,
    PRIMARY KEY (topic, number)) WITHOUT ROWID;
INSERT OR IGNORE INTO generation VALUES (1, 0);
"""
_BUMP = "UPDATE generation SET number = number + 1"

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Lease:
    """A partition that a member owns, under an epoch, and its committed offset.

    ``leaving``: it is due to another member and is given up once nothing of it is in hand.
    """

    topic: str
    number: int
    epoch: int
    committed: int
    leaving: bool = False


class GroupFile:
    """The books of one group."""

    def __init__(self, path: Path) -> None:
        self._db = open_file(path, durable=False)
        with writing(self._db):
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)

    @property
    def bell(self) -> None:
        """None is rung: every commit of every member writes, and who owns what changes seldom."""

    def version(self) -> int:
        """Return the number of times membership or ownership has changed."""
        number: int = self._db.execute("SELECT number FROM generation").fetchone()[0]
        return number

    def sync(
        self,
        member: str,
        topics: Mapping[str, int],
        unfinished: Collection[Place],
        lease_seconds: float,
    ) -> list[Lease]:
        """Renew the membership, give up and take over what is due; return what is owned now.

        ``topics`` gives the partition count of each topic subscribed to. Partitions in
        ``unfinished`` have uncommitted messages in hand and are kept until the next time.
        """
        with writing(self._db) as db:
            self._renew(member, topics, lease_seconds)
            self._strike_off_the_silent(member)
            due = self._share_of(member, topics)
            self._give_up(member, due, unfinished)
            self._take_over(member, due)
            rows = db.execute(
                "SELECT topic, number, epoch, committed FROM partitions WHERE owner = ?", (member,)
            )
            return [
                Lease(topic, number, epoch, committed, leaving=(topic, number) not in due)
                for topic, number, epoch, committed in rows
            ]

    def _renew(self, member: str, topics: Mapping[str, int], lease_seconds: float) -> None:
        expires = time.time() + lease_seconds
        update = "UPDATE members SET expires = ? WHERE member = ?"
        if self._db.execute(update, (expires, member)).rowcount:
            return
        names = msgspec.json.encode(sorted(topics)).decode()
        self._db.execute("INSERT INTO members VALUES (?, ?, ?)", (member, names, expires))
        self._db.execute(_BUMP)

    def _strike_off_the_silent(self, present: str) -> None:
        query = "DELETE FROM members WHERE expires < ? AND member != ? RETURNING member"
        for (member,) in self._db.execute(query, (time.time(), present)).fetchall():
            self._disown(member)

    def _disown(self, member: str) -> None:
        self._db.execute("UPDATE partitions SET owner = NULL WHERE owner = ?", (member,))
        self._db.execute(_BUMP)

    def _share_of(self, member: str, topics: Mapping[str, int]) -> set[Place]:
        """Deal partitions out in turn, so that equal numbers of all topics go to one member."""
        rows = self._db.execute("SELECT member, topics FROM members ORDER BY member").fetchall()
        due: set[Place] = set()
        for topic, partitions in topics.items():
            sharers = [name for name, names in rows if topic in msgspec.json.decode(names)]
            turn = sharers.index(member)
            due.update((topic, number) for number in range(turn, partitions, len(sharers)))
        return due

    def _give_up(self, member: str, due: set[Place], unfinished: Collection[Place]) -> None:
        query = "SELECT topic, number FROM partitions WHERE owner = ?"
        owned = set(self._db.execute(query, (member,)).fetchall())
        surplus = owned - due - set(unfinished)
        if surplus:
            update = "UPDATE partitions SET owner = NULL WHERE topic = ? AND number = ?"
            self._db.executemany(update, sorted(surplus))
            self._db.execute(_BUMP)

    def _take_over(self, member: str, due: set[Place]) -> None:
        query = "SELECT topic, number FROM partitions WHERE owner IS NOT NULL"
        free = due - set(self._db.execute(query).fetchall())
        self._db.executemany(
            "INSERT INTO partitions VALUES (?, ?, ?, 1, 0)"
            " ON CONFLICT DO UPDATE SET owner = excluded.owner, epoch = epoch + 1",
            [(*place, member) for place in sorted(free)],
        )

    def commit(self, member: str, leases: Collection[Lease]) -> bool:
        """Write the committed offsets of partitions still owned; False when one was lost."""
        with writing(self._db) as db:
            cursor = db.executemany(
                "UPDATE partitions SET committed = ?"
                " WHERE topic = ? AND number = ? AND owner = ? AND epoch = ?",
                [(it.committed, it.topic, it.number, member, it.epoch) for it in leases],
            )
            return cursor.rowcount == len(leases)

    def leave(self, member: str) -> None:
        """Give everything up at once."""
        with writing(self._db) as db:
            db.execute("DELETE FROM members WHERE member = ?", (member,))
            self._disown(member)

    def committed(self, topic: str) -> dict[int, int]:
        """Return the committed offset of each partition this group has ever owned."""
        query = "SELECT number, committed FROM partitions WHERE topic = ?"
        return dict(self._db.execute(query, (topic,)).fetchall())

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
