"""The parts of the Kafka adapter that need no broker."""

from types import SimpleNamespace

import pytest
from kafka import TopicPartition, errors

from kit.bus.kafka_client import kafka_errors
from kit.bus.kafka_publisher import BATCH_BYTES, waves
from kit.bus.kafka_subscription import Progress, past_the_coordinator
from kit.bus.port import Message
from kit.errors import ServiceError, Unavailable

PLACE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


def test_small_messages_go_in_one_wave() -> None:
    placed = [(n % 8, Message("t", "k", b"x" * 700)) for n in range(1000)]
    assert list(waves(placed)) == [placed]


def test_a_partition_gets_no_more_than_one_record_batch_in_a_wave() -> None:
    big = b"x" * (BATCH_BYTES // 2 - 500)
    placed = [(0, Message("t", "k", big)) for _ in range(5)] + [(1, Message("t", "k", big))]
    cut = list(waves(placed))
    assert [len(wave) for wave in cut] == [2, 2, 2]
    assert [it for wave in cut for it in wave] == placed


def test_a_message_larger_than_a_batch_still_goes() -> None:
    placed = [(0, Message("t", "k", b"x" * (BATCH_BYTES + 1)))]
    assert list(waves(placed)) == [placed]


@pytest.mark.parametrize(
    "error", [errors.KafkaTimeoutError(), errors.NotEnoughReplicasError(), errors.UnknownError()]
)
def test_what_may_pass_is_an_outage(error: Exception) -> None:
    with pytest.raises(Unavailable), kafka_errors():
        raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TopicAuthorizationFailedError(), "kafka_refuses"),
        (errors.SaslAuthenticationFailedError(), "kafka_refuses"),
        (errors.MessageSizeTooLargeError(), "message_too_large"),
    ],
)
def test_what_will_not_pass_is_no_outage(error: Exception, code: str) -> None:
    with pytest.raises(ServiceError) as caught, kafka_errors():
        raise error
    assert caught.value.code == code
    assert not isinstance(caught.value, Unavailable)


def test_going_back_returns_to_the_first_uncommitted_message() -> None:
    progress = Progress()
    progress.polled(PLACE, 5, 8)
    progress.polled(PLACE, 8, 12)
    assert progress.to_commit() == {}
    assert progress.begin_again() == {PLACE: 5}
    assert progress.begin_again() == {}


def test_what_is_finished_is_committed_until_the_broker_has_noted_it_and_never_gone_behind() -> (
    None
):
    progress = Progress()
    progress.polled(PLACE, 5, 8)
    progress.finished()
    progress.polled(PLACE, 8, 12)
    progress.polled(OTHER, 0, 3)
    assert progress.begin_again() == {PLACE: 8, OTHER: 0}
    assert progress.to_commit() == {PLACE: 8}
    progress.committed({PLACE: 8})
    assert progress.to_commit() == {}


def test_a_late_answer_does_not_count_for_what_was_finished_after_it_was_asked() -> None:
    progress = Progress()
    progress.polled(PLACE, 5, 8)
    progress.finished()
    asked = progress.to_commit()
    progress.polled(PLACE, 8, 12)
    progress.polled(OTHER, 0, 3)
    progress.finished()
    progress.committed(asked)
    assert progress.to_commit() == {PLACE: 12, OTHER: 3}


def test_a_commit_that_was_not_taken_is_carried_by_the_next() -> None:
    progress = Progress()
    progress.polled(PLACE, 5, 8)
    progress.finished()
    progress.polled(OTHER, 0, 3)
    progress.finished()
    assert progress.to_commit() == {PLACE: 8, OTHER: 3}


def test_a_partition_that_went_to_another_member_is_forgotten() -> None:
    progress = Progress()
    progress.polled(PLACE, 5, 8)
    progress.finished()
    progress.polled(PLACE, 8, 12)
    progress.lost([PLACE])
    assert progress.to_commit() == {}
    assert progress.begin_again() == {}


class Coordinator:
    """What a poll asks kafka-python's: whether it is known, and to find it."""

    def __init__(self) -> None:
        self.known = False
        self.asked: list[int] = []

    def coordinator_unknown(self) -> bool:
        return not self.known

    def ensure_coordinator_ready(self, timeout_ms: int) -> bool:
        self.asked.append(timeout_ms)
        return timeout_ms > 1_000


def test_the_network_thread_is_asked_for_the_coordinator_only_while_it_is_not_known() -> None:
    coordinator = Coordinator()
    past_the_coordinator(SimpleNamespace(_coordinator=coordinator))
    assert coordinator.ensure_coordinator_ready(timeout_ms=500) is False
    assert coordinator.ensure_coordinator_ready(timeout_ms=5_000) is True
    coordinator.known = True
    assert coordinator.ensure_coordinator_ready(timeout_ms=500) is True
    assert coordinator.asked == [500, 5_000]
