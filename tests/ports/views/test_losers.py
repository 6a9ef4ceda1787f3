"""Which documents of a bulk compare-and-set lost, when the command only says how many won."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kit.errors import Unavailable
from kit.mongo.driver import Documents
from kit.views.mongo import _losers
from kit.views.port import Document

OURS, THEIRS = b"ours", b"theirs"


@dataclass
class Stored(Documents):
    """What a read-back finds: version and stamp of each document."""

    found: Mapping[str, tuple[int, bytes]]
    name: str = "views"

    async def find(self, where: Any, **_: Any) -> list[dict[str, Any]]:
        wanted = where["_id"]["$in"]
        return [
            {"_id": id_, "version": version, "by": stamp}
            for id_, (version, stamp) in self.found.items()
            if id_ in wanted
        ]


def written(*ids: str) -> list[Document]:
    """Documents that were read at version 3."""
    return [Document(id_, 3, b"{}") for id_ in ids]


async def test_the_stamp_tells_a_winner_and_another_stamp_on_its_version_a_loser() -> None:
    stored = Stored({"won": (4, OURS), "lost": (4, THEIRS), "behind": (2, THEIRS)})
    documents = written("won", "lost", "behind", "gone")
    assert await _losers(stored, documents, OURS, won=1) == ["lost", "behind", "gone"]


@pytest.mark.parametrize(("won", "losers"), [(2, []), (1, ["moved"])])
async def test_a_document_that_has_moved_on_is_told_by_the_number_of_winners(
    won: int, losers: list[str]
) -> None:
    stored = Stored({"won": (4, OURS), "moved": (5, THEIRS)})
    assert await _losers(stored, written("won", "moved"), OURS, won) == losers


async def test_what_cannot_be_told_is_in_doubt() -> None:
    stored = Stored({"won": (4, OURS), "one": (5, THEIRS), "two": (6, THEIRS)})
    with pytest.raises(Unavailable):
        await _losers(stored, written("won", "one", "two"), OURS, won=2)
