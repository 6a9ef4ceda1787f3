"""What the driver's errors mean here, in one place.

* Data of ours that the server refuses is our error: it is raised as it is.
* A lost race (a write conflict, a deadlock) is tried again; see ``is_race``.
* Everything else says nothing about the data: the store is out, and the caller backs off. The
  default is this one on purpose: a message must not be given up because a password has expired.

Measured on FerretDB before PostgreSQL: when PostgreSQL is away, commands fail with code 1
("failed to connect", "starting up", "unexpected EOF"), and when FerretDB is, with AutoReconnect.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
)

from kit.errors import Unavailable

DUPLICATE_KEY = 11000
_RACES = frozenset(
    {
        112,  # WriteConflict
        251,  # NoSuchTransaction, of a retried write
        16908292,  # PostgreSQL's "deadlock detected", through DocumentDB
    }
)
_OURS = frozenset(
    {
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        52,  # DollarPrefixedFieldName
        67,  # CannotCreateIndex
        85,  # IndexOptionsConflict
        86,  # IndexKeySpecsConflict
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
    }
)


def is_race(code: int | None) -> bool:
    """Whether the server gave up because of another writer, and the same again may succeed."""
    return code in _RACES


def is_ours(error: PyMongoError) -> bool:
    """Whether the server (or the driver) refuses what we sent, however often we send it."""
    if isinstance(error, OperationFailure) and not isinstance(error, BulkWriteError):
        return error.code in _OURS
    return isinstance(error, DocumentTooLarge | ConfigurationError)


def as_outage(what: str, error: PyMongoError) -> Exception:
    """Return what to raise for a driver's error."""
    if is_ours(error):
        return error
    return Unavailable(what, f"{type(error).__name__}: {str(error)[:300]}")


@contextmanager
def outages(what: str) -> Iterator[None]:
    """Turn every driver error that is not ours into Unavailable."""
    try:
        yield
    except PyMongoError as error:
        raise as_outage(what, error) from error
