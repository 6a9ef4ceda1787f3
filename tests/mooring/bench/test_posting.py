"""The decisions a benchmark publishes are real ones, and it keeps off real traffic."""

from pathlib import Path

import pytest

from contracts.envelope import decode_fact
from contracts.topics import REWARDS
from kit.bus.port import Message, TopicSpec
from kit.bus.sqlite import SqliteBus
from kit.errors import ServiceError
from kit.settings import StoreSettings
from mooring.bench.figures import Figure
from mooring.bench.posting import (
    decisions,
    fresh_database,
    measure_posting,
    refuse_real_traffic,
)
from services.points.commands import post_decisions
from services.points.wiring import wire
from tests.servers.fixtures import AnyDocuments, AnyKafka


async def test_the_points_service_posts_every_decision_once(tmp_path: Path) -> None:
    wiring = wire(StoreSettings("sqlite", f"sqlite:{tmp_path}"))
    await wiring.prepare()
    facts = [decode_fact(message.value) for message in decisions(3_000, "bench-")]
    await post_decisions(wiring.ledger, wiring.rules, facts)
    assert await wiring.entries.head("account:bench-0") == 2
    assert await wiring.entries.head("account:bench-2468") == 1
    (entry,) = await wiring.entries.read("account:bench-2468")
    assert b'"balances":{"base":45,"tier":45}' in bytes(entry.body)
    await wiring.close()


def test_each_run_has_a_database_of_its_own() -> None:
    first, second = (fresh_database("mongodb://127.0.0.1:27017/?w=1") for _ in range(2))
    assert first != second
    assert first.startswith("mongodb://127.0.0.1:27017/mooring_bench_")
    assert first.endswith("?w=1")


async def test_a_topic_with_real_traffic_is_refused(tmp_path: Path) -> None:
    bus = SqliteBus(tmp_path)
    await bus.prepare([TopicSpec(REWARDS.name, 1)])
    await bus.publish([Message(REWARDS.name, "bench-1", b"{}")])
    await refuse_real_traffic(bus, REWARDS.name, seconds=0)
    await bus.publish([Message(REWARDS.name, "M1", b"{}")])
    with pytest.raises(ServiceError, match="M1") as refused:
        await refuse_real_traffic(bus, REWARDS.name, seconds=0)
    assert refused.value.code == "not_a_test_broker"
    await bus.close()


async def test_posting_is_measured_beside_raw_inserts(
    kafka_server: AnyKafka, document_server: AnyDocuments
) -> None:
    kafka = f"kafka://{kafka_server.bootstrap}"
    result = await measure_posting(document_server.url, kafka, count=500)
    figure, share = result.figures
    assert isinstance(figure, Figure)
    assert (share.value, share.limit) == (figure.value, figure.limit)
    assert figure.unit == "1/s"
    assert figure.value > 0
    assert figure.limit is not None
    assert figure.limit > 0
