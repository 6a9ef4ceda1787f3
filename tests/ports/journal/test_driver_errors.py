"""What the driver's errors mean: ours, a race, or an outage."""

import re
from pathlib import Path

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from kit.errors import Unavailable
from kit.mongo import failures
from kit.mongo.driver import Refused, _refused
from kit.mongo.failures import is_race, outages


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("connection closed"),
        NetworkTimeout("timed out"),
        NotPrimaryError("stepping down"),
        ServerSelectionTimeoutError("nobody there"),
        WaitQueueTimeoutError("pool exhausted"),
        WriteConcernError("no majority", 64),
        InvalidOperation("Cannot use MongoClient after close"),
        OperationFailure("failed to connect to host", 1),
        OperationFailure("the database system is starting up", 1),
        OperationFailure("unexpected EOF", 1),
        OperationFailure("interrupted at shutdown", 11600),
        OperationFailure("exceeded time limit", 50),
        OperationFailure("Authentication failed", 18),
        OperationFailure("deadlock detected, again and again", 16908292),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'code', None)}",
)
def test_an_error_that_says_nothing_of_the_data_is_an_outage(error: PyMongoError) -> None:
    with pytest.raises(Unavailable) as caught, outages("facts"):
        raise error
    assert caught.value.kind == "unavailable"
    assert type(error).__name__ in str(caught.value.facts["reason"])


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("bad value", 2),
        OperationFailure("object too large", 10334),
        DocumentTooLarge("17 MB"),
        ConfigurationError("no such option"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_ours_is_raised_as_it_is(error: PyMongoError) -> None:
    with pytest.raises(type(error)) as caught, outages("facts"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(("code", "race"), [(112, True), (16908292, True), (11000, False)])
def test_write_conflicts_and_deadlocks_are_races(code: int, race: bool) -> None:
    assert is_race(code) is race


def bulk_error(*faults: tuple[int, int], unacknowledged: bool = False) -> BulkWriteError:
    return BulkWriteError(
        {
            "writeErrors": [{"index": i, "code": code, "errmsg": "no"} for i, code in faults],
            "writeConcernErrors": [{"code": 64, "errmsg": "timed out"}] if unacknowledged else [],
        }
    )


def test_duplicates_and_races_of_a_bulk_are_answers() -> None:
    error = bulk_error((3, 11000), (7, 16908292))
    assert _refused(error, "facts") == [Refused(3, 11000), Refused(7, 16908292)]


@pytest.mark.parametrize(
    "error",
    [bulk_error((3, 11000), unacknowledged=True), bulk_error((0, 11000), (1, 1))],
    ids=["not acknowledged", "lost its backend"],
)
def test_a_bulk_that_may_have_landed_or_not_is_an_outage(error: BulkWriteError) -> None:
    with pytest.raises(Unavailable):
        _refused(error, "facts")


def test_a_bulk_that_the_server_refuses_for_its_data_is_ours() -> None:
    with pytest.raises(OperationFailure):
        _refused(bulk_error((0, 10334)), "facts")


def test_only_one_package_imports_a_driver() -> None:
    kit = Path(failures.__file__).parents[1]
    importing = re.compile(r"^\s*(?:from|import) (?:motor|pymongo|bson)\b", re.MULTILINE)
    homes = {f.parent.name for f in kit.rglob("*.py") if importing.search(f.read_text())}
    assert homes == {"mongo"}
