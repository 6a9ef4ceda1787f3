"""What the raw store takes for one small durable write: the floor below every acknowledgement."""

import time
from pathlib import Path

from kit.mongo.driver import Client
from kit.settings import StoreSettings
from kit.sqlite.connections import WRITER_CACHE_KIB, connect
from mooring.bench.figures import percentile

COMMITS = 200
BODY = b"x" * 1000


def commit_seconds(folder: Path) -> float:
    """Return how long SQLite takes to make one small row durable here, as a rule (the median)."""
    connection = connect(folder / "commit.db", WRITER_CACHE_KIB)
    took: list[float] = []
    try:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")
        for _ in range(COMMITS):
            begin = time.perf_counter()
            connection.execute("INSERT INTO rows (body) VALUES (?)", (BODY,))
            took.append(time.perf_counter() - begin)
    finally:
        connection.close()
    return percentile(took, 0.5)


async def insert_seconds(settings: StoreSettings) -> float:
    """Return how long the database takes to acknowledge one small document (the median)."""
    client = Client(settings.url, settings.driver)
    took: list[float] = []
    try:
        target = client.documents("bench.commits")
        for number in range(COMMITS):
            begin = time.perf_counter()
            await target.insert([{"_id": number, "body": BODY}])
            took.append(time.perf_counter() - begin)
    finally:
        await client.close()
    return percentile(took, 0.5)
