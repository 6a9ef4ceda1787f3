"""The real servers answer, and keep what they acknowledged when they are killed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError

from tests.servers.fixtures import AnyDocuments, AnyKafka

DURABLE: dict[str, Any] = {"w": "majority", "journal": True}


def test_an_acknowledged_message_outlives_a_killed_broker(kafka_server: AnyKafka) -> None:
    topic = f"survives-{uuid.uuid4().hex}"
    with closing(KafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)) as admin:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    with closing(_producer(kafka_server)) as producer:
        acknowledged = [producer.send(topic, f"{n}".encode()).get(10).offset for n in range(20)]
        kafka_server.kill()
        assert not kafka_server.running
        kafka_server.restart()

    assert acknowledged == list(range(20))
    assert _values(kafka_server, topic, 20) == [f"{n}".encode() for n in range(20)]


@pytest.mark.parametrize("part", ["postgres", "ferretdb"])
def test_an_acknowledged_document_outlives_a_killed(
    part: Literal["postgres", "ferretdb"], document_server: AnyDocuments
) -> None:
    name = f"survives-{uuid.uuid4().hex}"
    with _client(document_server) as client:
        client[name].facts.insert_many({"_id": n} for n in range(20))
    document_server.kill(part)
    document_server.restart()

    with _client(document_server) as client:
        kept = _patiently(lambda: [it["_id"] for it in client[name].facts.find().sort("_id")])
        client.drop_database(name)
    assert kept == list(range(20))


@pytest.mark.parametrize("driver", [AsyncIOMotorClient, AsyncMongoClient])
async def test_both_drivers_are_refused_a_second_document_of_one_id(
    driver: type[Any], document_server: AnyDocuments
) -> None:
    name = f"refuses-{uuid.uuid4().hex}"
    client = driver(document_server.url, **DURABLE)
    try:
        await client[name].facts.insert_one({"_id": "member:M1/000000001", "points": 5})
        with pytest.raises(DuplicateKeyError):
            await client[name].facts.insert_one({"_id": "member:M1/000000001", "points": 7})
        kept = await client[name].facts.find({}).to_list(None)
        await client.drop_database(name)
    finally:
        closed = client.close()
        if closed is not None:
            await closed
    assert kept == [{"_id": "member:M1/000000001", "points": 5}]


def _patiently(ask: Callable[[], list[Any]]) -> list[Any]:
    """Ask again while the pool in front of the database still holds connections that died."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except PyMongoError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _client(server: AnyDocuments) -> MongoClient[dict[str, Any]]:
    return MongoClient(server.url, **DURABLE)


def _producer(server: AnyKafka) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=server.bootstrap, acks="all")


def _values(server: AnyKafka, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=server.bootstrap, consumer_timeout_ms=10_000)
    with closing(consumer):
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        return [next(consumer).value for _ in range(count)]
