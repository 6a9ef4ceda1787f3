"""The writer of a SQLite file: one thread, a queue, and group commit.

SQLite has one writer at a time whatever we do, and a commit costs an fsync. So everything that
waits in the queue becomes one transaction: a hundred concurrent single appends cost one fsync.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from kit.errors import ServiceError, Unavailable
from kit.sqlite.checkpoints import Checkpoints
from kit.sqlite.connections import connect, is_outage, retried

Work = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
"""Does the jobs of several callers in one open transaction: payloads in, results out, in order."""


class Statement(NamedTuple):
    """SQL that changes so many ``rows`` or, when something is in the way, none at all."""

    sql: str
    values: Sequence[Any]
    rows: int


@dataclass(frozen=True, eq=False)
class OneStatement:
    """Work that one statement does for all callers, unless something is in the way.

    Alone in its group it is its own transaction: every call of SQLite lets the interpreter go and
    waits for it again, and from a BEGIN to its COMMIT other processes would wait, too.
    ``statement`` may answer None: then, or if something was in the way, it is done ``otherwise``.
    """

    statement: Callable[[Sequence[Any]], Statement | None]
    done: Callable[[Sequence[Any]], Sequence[Any]]
    otherwise: Work

    def attempt(self, connection: sqlite3.Connection, payloads: Sequence[Any]) -> Any:
        """Return the results, or None when nothing was done."""
        one = self.statement(payloads)
        if one is None:
            return None
        try:
            changed = connection.execute(one.sql, one.values).rowcount
        except sqlite3.IntegrityError:
            return None
        return self.done(payloads) if changed == one.rows else None

    def __call__(self, connection: sqlite3.Connection, payloads: Sequence[Any]) -> Sequence[Any]:
        """Do it within an open transaction."""
        results: Sequence[Any] | None = self.attempt(connection, payloads)
        return self.otherwise(connection, payloads) if results is None else results


GROUP_LIMIT = 512
_FAILURES = (sqlite3.Error, ServiceError, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Job:
    """A caller's payload on its way through the queue, and the future the caller awaits."""

    work: Work
    payload: Any
    durable: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Writer:
    """The writer thread of one file in one process; it starts with the first job."""

    def __init__(self, path: Path, busy_seconds: float, cache_kib: int) -> None:
        self._path, self._busy_seconds, self._cache_kib = path, busy_seconds, cache_kib
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._full = True
        self._current: list[Job] = []
        self._checkpoints = Checkpoints(path)

    def submit(self, job: Job) -> None:
        """Queue a job; its future is settled after the commit that holds it."""
        with self._lock:
            if self._closed:
                raise Unavailable(str(self._path.name), "closed")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"writer {self._path.name}", daemon=True
                )
                self._thread.start()
            self._queue.put(job)

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._abandon()

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        for jobs in self._groups():
            self._current = jobs
            try:
                connection = connection or self._connect()
            except (sqlite3.Error, OSError) as error:
                _settle([(job, _outage(self._path, error)) for job in jobs])
            else:
                _settle(self._commit(connection, jobs))
                self._checkpoints.committed()
            self._current = []
        self._checkpoints.finish()
        if connection is not None:
            connection.close()

    def _abandon(self) -> None:
        """Leave nobody waiting: an error that nobody foresaw must not look like a slow disk."""
        with self._lock:
            self._closed = True
        left = self._current
        while not self._queue.empty():
            job = self._queue.get()
            left += [job] if job is not None else []
        _settle([(job, Unavailable(self._path.name, "its writer has stopped")) for job in left])

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, self._cache_kib, self._busy_seconds)
        connection.execute("PRAGMA busy_timeout=0")  # ``retried`` waits, in smaller steps
        return connection

    def _groups(self) -> Iterator[list[Job]]:
        """Yield what has gathered in the queue, until told to stop."""
        while (first := self._queue.get()) is not None:
            jobs = [first]
            while len(jobs) < GROUP_LIMIT:
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    yield jobs
                    return
                jobs.append(job)
            yield jobs

    def _commit(self, connection: sqlite3.Connection, jobs: list[Job]) -> list[tuple[Job, Any]]:
        """Do the jobs in one transaction; if one of them fails, each in its own."""
        try:
            self._synchronise(connection, full=any(job.durable for job in jobs))
            return self._at_once(connection, jobs) or self._transaction(connection, jobs)
        except _FAILURES as error:
            if len(jobs) > 1 and not (isinstance(error, sqlite3.Error) and is_outage(error)):
                return [pair for job in jobs for pair in self._commit(connection, [job])]
            return [(job, _outage(self._path, error)) for job in jobs]

    def _at_once(self, connection: sqlite3.Connection, jobs: list[Job]) -> list[tuple[Job, Any]]:
        """Do the jobs with one statement; [] when that cannot be, and nothing is done."""
        work = jobs[0].work
        if not isinstance(work, OneStatement) or any(job.work is not work for job in jobs):
            return []
        payloads = [job.payload for job in jobs]
        results = retried(lambda: work.attempt(connection, payloads), self._busy_seconds)
        return [] if results is None else list(zip(jobs, results, strict=True))

    def _transaction(
        self, connection: sqlite3.Connection, jobs: list[Job]
    ) -> list[tuple[Job, Any]]:
        retried(lambda: connection.execute("BEGIN IMMEDIATE"), self._busy_seconds)
        try:
            settled: list[tuple[Job, Any]] = []
            for work, group in groupby(jobs, key=lambda job: job.work):
                same = list(group)
                settled.extend(zip(same, work(connection, [j.payload for j in same]), strict=True))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return settled

    def _synchronise(self, connection: sqlite3.Connection, *, full: bool) -> None:
        if full != self._full:
            connection.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full = full


def _outage(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) or (isinstance(error, sqlite3.Error) and is_outage(error)):
        return Unavailable(path.name, f"SQLite: {error}")
    return error


def _settle(settled: Sequence[tuple[Job, Any]]) -> None:
    """Hand results to their event loops, one call for each loop."""
    for loop, group in groupby(settled, key=lambda pair: pair[0].loop):
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, list(group))


def _resolve(settled: Sequence[tuple[Job, Any]]) -> None:
    for job, value in settled:
        if job.future.done():  # its caller has gone; the write stands
            continue
        if isinstance(value, Exception):
            job.future.set_exception(value)
        else:
            job.future.set_result(value)
