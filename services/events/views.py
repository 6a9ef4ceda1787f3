"""How facts become documents: the registry of activities, heads of streams, decisions' progress."""

import msgspec

from kit.clock import Clock
from kit.journal.port import Journal
from kit.streams import Streams
from kit.views.port import Collection, Document, Views
from services.events.domain.as_of import Progress
from services.events.domain.recording import ActivityFold, ActivityState, Record

ACTIVITY_INDEX = Collection("activity_index")
"""By activity id: whose it is. Written before the activity, so an id belongs to one member."""

ACTIVITY_HEADS = Collection("activity_heads")
"""By member: the state of the activity stream, from time to time."""

DECIDING = Collection("deciding", fields={"waiting_until": int}, indexes=(("waiting_until",),))
"""By member: how far decisions have come, the card as copied, and when to look again."""

COLLECTIONS = (ACTIVITY_INDEX, ACTIVITY_HEADS, DECIDING)
SNAPSHOT_EVERY = 64
Recording = Streams[ActivityState, Record | None]


class Registered(msgspec.Struct, frozen=True, array_like=True):
    """Who an activity id belongs to, and the hash of what came with it."""

    member_id: str
    input_hash: bytes


_encoder = msgspec.json.Encoder()
_registered = msgspec.json.Decoder(Registered)
_progress = msgspec.json.Decoder(Progress)


def recording(journal: Journal, views: Views, clock: Clock) -> Recording:
    """Return the streams ``activity:{member_id}`` of the journal ``events.activities``."""
    return Streams(
        "activity",
        journal,
        views,
        ACTIVITY_HEADS,
        ActivityFold(),
        clock,
        snapshot_every=SNAPSHOT_EVERY,
    )


def registration(activity_id: str, entry: Registered) -> Document:
    """The registry's document for a new activity; saving it fails when the id is known."""
    return Document(activity_id, 0, _encoder.encode(entry))


def registered(document: Document) -> Registered:
    """Read an entry of the registry."""
    return _registered.decode(document.body)


def progress_document(member_id: str, version: int, progress: Progress) -> Document:
    """The document of a member's progress; ``waiting_until`` is what duties find it by."""
    index = {"waiting_until": progress.waiting_until}
    return Document(member_id, version, _encoder.encode(progress), index)


def progress_of(document: Document | None) -> Progress:
    """Read a member's progress; without a document nothing has happened yet."""
    return Progress() if document is None else _progress.decode(document.body)
