"""The raw limit writes the very rows of a platform's files again."""

from pathlib import Path

import pytest

from kit.bus.port import Message, TopicSpec
from kit.bus.sqlite import SqliteBus
from kit.journal.port import Draft
from kit.journal.sqlite import SqliteJournal
from kit.sqlite.connections import connect
from mooring.bench import raw_sqlite
from mooring.bench.raw_sqlite import raw_limit

FACTS = 2_500
BODY = b'{"points":12}'


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A journal of 2,500 facts and a topic that carries them."""
    journal = SqliteJournal(tmp_path, "points.entries")
    await journal.prepare()
    await journal.append(
        [
            Draft(
                f"account:M{n}", 1, "reward:1", b"hash", "PointsPosted", n, n, BODY, trace=f"t{n}"
            )
            for n in range(FACTS)
        ]
    )
    await journal.close()
    bus = SqliteBus(tmp_path / "bus")
    await bus.prepare([TopicSpec("points.entries.v1", 4), TopicSpec("empty.v1", 4)])
    for start in range(0, FACTS, 500):
        await bus.publish(
            [Message("points.entries.v1", f"M{n}", BODY) for n in range(start, start + 500)]
        )
    await bus.close()
    return tmp_path


def test_every_row_is_written_once_and_timed(data: Path) -> None:
    raw = raw_limit(data, data / "raw")
    assert [(file.file, file.rows) for file in raw.files] == [
        ("points.entries.journal.db", FACTS),
        ("points.entries.v1.db", FACTS),
    ]
    assert raw.rows == 2 * FACTS
    assert [file.body_bytes for file in raw.files] == [
        FACTS * (len(BODY) + len(b"hash")),
        FACTS * len(BODY),
    ]
    assert all(file.seconds > 0 for file in raw.files)


def test_the_files_written_for_the_limit_are_gone_afterwards(data: Path) -> None:
    raw_limit(data, data / "raw")
    assert list((data / "raw").iterdir()) == []


def test_the_target_has_the_same_tables_indexes_and_rows(data: Path) -> None:
    source = connect(data / "points.entries.journal.db", 1024)
    target = connect(data / "again.db", 1024)
    raw_sqlite.copy_schema(source, target)
    raw_sqlite.write("again", target, raw_sqlite.journal_rows(source))
    everything = "SELECT * FROM facts ORDER BY pos"
    assert target.execute(everything).fetchall() == source.execute(everything).fetchall()
    indexes = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    assert target.execute(indexes).fetchall() == source.execute(indexes).fetchall()
    source.close()
    target.close()


def test_messages_of_all_partitions_come_mixed_as_they_were_published(data: Path) -> None:
    source = connect(data / "bus" / "points.entries.v1.db", 1024)
    rows = list(raw_sqlite.topic_rows(source))
    moments = [moment for _, moment, _ in rows]
    assert moments == sorted(moments)
    assert sorted(values[1] for _, _, values in rows) == sorted(f"M{n}" for n in range(FACTS))
    assert len({statement for statement, _, _ in rows[:500]}) == 4
    source.close()
