"""Member files: many writers at once, and crashes between the file and its fact."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kit.errors import ServiceError, Unavailable
from kit.journal.port import Appended, Draft
from services.members.commands import Enrol, change_file, derived_member_id, enrol
from services.members.views import FILES, decode_record
from services.members.wiring import Wiring

ANA = Enrol("M1", "store", None, {"name": "Ana", "region": "north"})


async def on_file(wiring: Wiring) -> list[tuple[int, str]]:
    return [
        (fact.seq, fact.type)
        async for facts in wiring.files.scan()
        for fact in facts
        if fact.stream == "member:M1"
    ]


async def test_the_same_enrolment_many_times_at_once_is_made_once(wiring: Wiring) -> None:
    answers = await asyncio.gather(*(enrol(wiring, [ANA]) for _ in range(30)))
    outcomes = [outcome for (outcome,) in answers]
    assert [outcome.error for outcome in outcomes] == [None] * 30
    assert sum(not outcome.duplicate for outcome in outcomes) == 1
    assert await on_file(wiring) == [(1, "MemberEnrolled")]


async def test_of_different_enrolments_at_once_one_wins(wiring: Wiring) -> None:
    different = [replace(ANA, fields={"name": f"Ana {n}"}) for n in range(20)]
    answers = await asyncio.gather(*(enrol(wiring, [each]) for each in different))
    errors = [outcome.error for (outcome,) in answers]
    assert errors.count(None) == 1
    assert {error.code for error in errors if error is not None} == {"already_enrolled"}
    assert await on_file(wiring) == [(1, "MemberEnrolled")]


async def test_changes_at_once_are_all_made(wiring: Wiring) -> None:
    await enrol(wiring, [ANA])
    fields = ("email", "phone", "household", "culture", "education")
    await asyncio.gather(*(change_file(wiring, "M1", {name: "x"}) for name in fields))
    document = (await wiring.views.load(FILES, ["M1"]))["M1"]
    record = decode_record(document)
    assert [getattr(record.file, name) for name in fields] == ["x"] * 5
    assert record.file.name == "Ana"
    assert [seq for seq, _ in await on_file(wiring)] == [1, 2, 3, 4, 5, 6]


async def test_a_batch_keeps_its_order_for_an_id_that_comes_twice(wiring: Wiring) -> None:
    other = replace(ANA, channel="app")
    outcomes = await enrol(wiring, [ANA, other, ANA])
    assert [outcome.duplicate for outcome in outcomes] == [False, False, True]
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [
        None,
        "already_enrolled",
        None,
    ]


class Deaf:
    """A journal that is out for its next append."""

    def __init__(self, wiring: Wiring) -> None:
        self.journal, self.out = wiring.files, True

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if self.out:
            self.out = False
            raise Unavailable("journal", "out")
        return await self.journal.append(drafts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


async def test_an_enrolment_cut_off_before_its_fact_is_completed_by_the_retry(
    wiring: Wiring,
) -> None:
    journal: Any = Deaf(wiring)
    with pytest.raises(Unavailable):
        await enrol(replace(wiring, files=journal), [ANA])
    assert await on_file(wiring) == []
    (outcome,) = await enrol(wiring, [ANA])
    assert (outcome.error, outcome.duplicate) == (None, True)
    assert await on_file(wiring) == [(1, "MemberEnrolled")]


async def test_a_change_cut_off_before_its_fact_is_completed_by_the_retry(wiring: Wiring) -> None:
    await enrol(wiring, [ANA])
    journal: Any = Deaf(wiring)
    with pytest.raises(Unavailable):
        await change_file(replace(wiring, files=journal), "M1", {"region": "south"})
    assert len(await on_file(wiring)) == 1
    await change_file(wiring, "M1", {"region": "south"})
    assert await on_file(wiring) == [(1, "MemberEnrolled"), (2, "MemberFileChanged")]


async def test_nobody_is_changed_who_is_not_there(wiring: Wiring) -> None:
    with pytest.raises(ServiceError) as refused:
        await change_file(wiring, "M1", {"name": "X"})
    assert (refused.value.kind, refused.value.code) == ("missing", "no_such_member")
    assert await wiring.views.load(FILES, ["M1"]) == {}


def test_a_key_makes_one_id_for_each_caller() -> None:
    one, again, other = (derived_member_id(s, "k1") for s in ("till-7", "till-7", "till-8"))
    assert one == again != other
    assert one.isalnum()
    assert len(one) == 17
