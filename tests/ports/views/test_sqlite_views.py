"""Views in SQLite: one statement saves a batch; when somebody has lost, the others still win."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kit.views.port import Collection, Document
from kit.views.sqlite import SqliteViews

THINGS = Collection("things", {"owner": str, "size": int})


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[SqliteViews]:
    views = SqliteViews(tmp_path, "tests")
    await views.prepare([THINGS])
    yield views
    await views.close()


def things(versions: dict[str, int], body: bytes = b"{}") -> list[Document]:
    return [
        Document(id_, version, body, {"owner": id_.upper(), "size": version})
        for id_, version in versions.items()
    ]


async def stored(views: SqliteViews, *ids: str) -> dict[str, tuple[int, bytes]]:
    found = await views.load(THINGS, ids)
    return {id_: (document.version, document.body) for id_, document in found.items()}


async def traced(views: SqliteViews) -> list[str]:
    """The first word of each statement that the writer carries out from now on."""
    words: list[str] = []

    def trace(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[None]:
        connection.set_trace_callback(lambda sql: words.append(sql.split()[0]))
        return [None] * len(payloads)

    await views._file.write(trace, None)
    words.clear()
    return words


async def test_new_and_old_documents_are_saved_by_one_statement(views: SqliteViews) -> None:
    await views.save(THINGS, things({"old": 0}))
    words = await traced(views)
    assert await views.save(THINGS, things({"old": 1, "new": 0, "more": 0}, b"[1]")) == []
    assert words == ["INSERT"]
    found = await views.load(THINGS, ["old", "new", "more"])
    assert {id_: (it.version, it.body, it.index) for id_, it in found.items()} == {
        "old": (2, b"[1]", {"owner": "OLD", "size": 1}),
        "new": (1, b"[1]", {"owner": "NEW", "size": 0}),
        "more": (1, b"[1]", {"owner": "MORE", "size": 0}),
    }


@pytest.mark.parametrize("lost", [{"there": 0}, {"there": 2}, {"gone": 1}])
async def test_who_has_lost_is_left_as_it_was_and_the_others_are_saved(
    views: SqliteViews, lost: dict[str, int]
) -> None:
    await views.save(THINGS, things({"there": 0, "other": 0}))
    wanted = things({"other": 1, "new": 0, **lost}, b"[1]")
    assert await views.save(THINGS, wanted) == list(lost)
    assert await stored(views, "there", "other", "new", "gone") == {
        "there": (1, b"{}"),
        "other": (2, b"[1]"),
        "new": (1, b"[1]"),
    }


@pytest.mark.parametrize("size", [63, 64, 65, 200])
async def test_batches_of_any_size_are_saved_around_a_loser(views: SqliteViews, size: int) -> None:
    versions = {f"t{n}": 0 for n in range(size)}
    assert await views.save(THINGS, things(versions)) == []
    await views.save(THINGS, things({f"t{size - 1}": 1}))
    wanted = things(dict.fromkeys(versions, 1), b"[1]")
    assert await views.save(THINGS, wanted) == [f"t{size - 1}"]
    found = await stored(views, *versions)
    assert list(found.values()).count((2, b"[1]")) == size - 1
    assert found[f"t{size - 1}"] == (2, b"{}")


async def test_of_two_callers_of_one_moment_one_loses(views: SqliteViews) -> None:
    await views.save(THINGS, things({"a": 0}))
    saves = [views.save(THINGS, things({"a": 1, f"b{n}": 0}, b"%d" % n)) for n in range(10)]
    lost = await asyncio.gather(*saves)
    assert sorted(lost) == [[], *[["a"]] * 9]
    assert await stored(views, "a") == {"a": (2, b"%d" % lost.index([]))}
    assert len(await stored(views, *(f"b{n}" for n in range(10)))) == 10


async def test_a_large_batch_needs_no_more_values_than_sqlite_binds(views: SqliteViews) -> None:
    def limit(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[None]:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1_000)
        return [None] * len(payloads)

    await views._file.write(limit, None)
    assert await views.save(THINGS, things({f"t{n}": 0 for n in range(500)})) == []
    assert await views.count(THINGS) == {"": 500}
