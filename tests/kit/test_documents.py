"""How the adapters ask a document database."""

from typing import Any

from kit.journal.mongo import IDS
from kit.mongo.driver import Documents


class Answering:
    """A collection of so many rows, which hands out no more at a time than it is asked for."""

    name = "tests"

    def __init__(self, count: int) -> None:
        self.rows = [{"_id": number} for number in range(count)]
        self.answers = 0

    def find(self, *_: Any, batch_size: int = 101, **__: Any) -> "Answering":
        self.batch_size = batch_size
        return self

    async def to_list(self, _: None) -> list[dict[str, int]]:
        self.answers += 1 + max(0, len(self.rows) - 1) // self.batch_size
        return self.rows


async def test_a_question_is_answered_at_once() -> None:
    collection = Answering(IDS)
    assert len(await Documents(collection).find({})) == IDS
    assert collection.answers == 1
