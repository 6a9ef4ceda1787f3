"""An export made while seals are made is one that could have been made at one moment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from contracts.envelope import Fact
from kit.errors import Unavailable
from services.points.domain.seals import witness_for
from services.points.sealing.chains import cut
from services.points.sealing.exporting import export_lines
from tests.services.points.sealing.books import Books, verified
from tests.services.points.sealing.conftest import ACCOUNTS


@dataclass
class Busy:
    """A journal of seals in which, for a while, seals are made between any two looks at it."""

    books: Books
    rounds: int

    async def scan(self, batch: int = 1) -> AsyncIterator[list[Fact]]:
        async for facts in self.books.sealing.seals.scan(1):
            yield facts
            await self._more()

    async def read(self, stream: str, **where: Any) -> list[Fact]:
        if stream == "seal:2":
            await self._more()
        return await self.books.sealing.seals.read(stream, **where)

    async def _more(self) -> None:
        if self.rounds:
            self.rounds -= 1
            await self.books.round(ACCOUNTS)


@pytest.mark.parametrize("rounds", [0, 3, 6])
async def test_an_export_made_between_seals_verifies(books: Books, rounds: int) -> None:
    await books.round(ACCOUNTS)
    await books.round(ACCOUNTS)
    busy: Any = Busy(books, rounds)
    lines = [line async for line in export_lines(books.sealing.entries, busy, books.sealing.clock)]
    assert [str(finding) for finding in verified(lines).findings] == []


async def test_seals_that_are_made_during_the_scan_are_left_for_the_next_export(
    books: Books,
) -> None:
    await books.round(ACCOUNTS)
    await books.round(ACCOUNTS)

    class Scanned(Busy):
        async def read(self, stream: str, **where: Any) -> list[Fact]:
            return await self.books.sealing.seals.read(stream, **where)

    busy: Any = Scanned(books, 4)
    lines = [line async for line in export_lines(books.sealing.entries, busy, books.sealing.clock)]
    report = verified(lines)
    assert [str(finding) for finding in report.findings] == []
    assert (report.seals, report.sealed, report.unsealed) == (8, 16, 32)


async def test_heads_are_read_until_they_stand_still(books: Books) -> None:
    await books.round(ACCOUNTS)
    busy: Any = Busy(books, 3)
    heads = await cut(busy)
    assert {seq for seq, _ in heads.values()} == {4}


async def test_heads_that_never_stand_still_are_an_outage_not_a_wrong_cut(books: Books) -> None:
    await books.round(ACCOUNTS)
    busy: Any = Busy(books, 1_000)
    with pytest.raises(Unavailable):
        await cut(busy, attempts=3)


def test_a_partition_is_witnessed_by_the_one_before_it_and_never_by_itself() -> None:
    heads = {number: (number, "f" * 64) for number in (1, 4, 7)}
    seen = {number: witness_for(number, heads) for number in range(9)}
    others = {number: it.stream for number, it in seen.items() if it is not None}
    assert others == {
        0: "seal:1", 1: "seal:4", 2: "seal:4", 3: "seal:4", 4: "seal:7",
        5: "seal:7", 6: "seal:7", 7: "seal:1", 8: "seal:1",
    }  # fmt: skip
    assert witness_for(3, {3: (1, "f" * 64)}) is None
