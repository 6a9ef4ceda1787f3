"""Remarks over HTTP: everybody who may sees them, and the ledger knows an id."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.points import AdjustmentTerms
from contracts.topics import ENTRIES
from kit.bus.open import open_bus
from kit.bus.port import TopicSpec
from kit.clock import DAY
from kit.http.idempotency import derived_id
from kit.relay import Relay
from kit.settings import BusSettings
from kit.views.port import Collection, Document, Views
from services.points import rebuild
from services.points.asking import request_key
from services.points.domain.adjusting import Adjust
from services.points.domain.moving import Send
from services.points.remarks import REMARKS, Remarks, Said, shown
from tests.services.points.club import Club, refused
from tests.services.points.remarking import (
    CORRECTIONS,
    RECEIVED,
    SENT,
    TEXT,
    Line,
    post_old,
    remarks,
    tables_with,
    terms,
    texts,
)
from tests.services.points.sealing.books import Alone, verified
from tests.services.points.test_pools import family


async def sent(club: Club, text: str | None = TEXT, **more: Any) -> Any:
    """Offer M1's points to M2, with a text; return the answer."""
    body = {"to": "M2", "points": 300} | ({"note": text} if text else {})
    return await club.post("M1", SENT, body, **more)


async def accepted(club: Club, transfer: str) -> Any:
    answer = await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def notes(club: Club, who: str, path: str) -> list[str | None]:
    """What the items of a list say."""
    return [item.get("note") for item in (await club.get(who, path))["items"]]


async def page(club: Club, who: str, member: str, language: str) -> str:
    """The month's statement to print."""
    path = f"/v1/members/{member}/points/statements/2026-01?format=html&language={language}"
    answer = await club.ask(who, "GET", path, key="")
    assert answer.status_code == 200, answer.text
    return answer.text


# who sees them


async def test_both_sides_of_a_transfer_and_staff_see_what_was_written(any_club: Club) -> None:
    club = any_club
    club.clock.now += 10 * DAY
    await club.earn("M1", 1000)
    offer = (await sent(club)).json()
    assert offer["note"] == TEXT
    await club.follow()
    assert await notes(club, "M2", f"{RECEIVED}?status=offered") == [TEXT]
    assert (await accepted(club, offer["transfer_id"]))["note"] == TEXT
    await club.follow()
    for who in ("agent", "M1"):
        assert await notes(club, who, f"{SENT}?direction=sent") == [TEXT]
    for member, lines in (("M1", [TEXT, None]), ("M2", [TEXT])):
        for who in (member, "agent"):
            path = f"/v1/members/{member}/points"
            assert await notes(club, who, f"{path}/statement") == lines
            assert await notes(club, who, f"{path}/statements/2026-01") == [TEXT]
            assert f"<small>Message: {TEXT}</small>" in await page(club, who, member, "en")
            assert f"<small>留言：{TEXT}</small>" in await page(club, who, member, "zh")


@pytest.mark.parametrize(("who", "action"), [("M2", "decline"), ("M1", "withdraw")])
async def test_an_offer_that_is_not_accepted_shows_it_too(
    club: Club, who: str, action: str
) -> None:
    await club.earn("M1", 1000)
    transfer = (await sent(club)).json()["transfer_id"]
    path, body = (RECEIVED, {"sender": "M1"}) if action == "decline" else (SENT, {})
    answer = await club.post(who, f"{path}/{transfer}:{action}", body)
    assert (answer.status_code, answer.json()["note"]) == (200, TEXT)


async def test_what_is_written_beside_points_of_a_pool_is_seen_there_and_by_the_receiver(
    any_club: Club,
) -> None:
    club = any_club
    pool = await family(club)
    answer = await club.post("M2", f"{pool}/transfers", {"to": "M3", "points": 50, "note": TEXT})
    assert (answer.status_code, answer.json()["note"]) == (201, TEXT)
    await club.follow()
    assert (await notes(club, "M1", f"{pool}/statement"))[0] == TEXT
    assert (await notes(club, "M3", "/v1/members/M3/points/statement"))[0] == TEXT
    assert TEXT in await notes(club, "M3", "/v1/members/M3/points/transfers")
    (kept,) = await remarks(club.wiring)
    assert (kept.by, kept.members) == ("M2", ("M2", "M3"))


async def test_colleagues_see_why_somebody_asked_for_a_correction(any_club: Club) -> None:
    club = any_club
    asked = {}
    for points, text in ((5, "small"), (600, "approve"), (700, "reject")):
        club.clock.now += 1
        body = {"points": points, "reason": "goodwill", "note": text}
        answer = await club.post("agent:A1", CORRECTIONS, body)
        assert (answer.status_code, answer.json()["note"]) == (201 if points == 5 else 202, text)
        asked[text] = f"{CORRECTIONS}/{answer.json()['request_id']}"
    await club.follow()
    assert await notes(club, "operator", "/v1/points/adjustments") == ["reject", "approve"]
    for action, body in (("approve", {}), ("reject", {"reason": "No"})):
        answer = await club.post("operator", f"{asked[action]}:{action}", body)
        assert (answer.status_code, answer.json()["note"]) == (200, action)
    await club.follow()
    assert await notes(club, "agent", CORRECTIONS) == ["reject", "approve", "small"]
    assert await notes(club, "M1", "/v1/members/M1/points/statement") == [None, None]
    kept = await remarks(club.wiring)
    assert {(each.by, each.members) for each in kept} == {("A1", ("M1",))}
    assert [each.written_at for each in kept] == [club.clock.now + n for n in (-1, 0, -2)]


class Counting:
    """The store's documents; counts what is read of remarks."""

    def __init__(self, views: Views) -> None:
        self._views, self.reads = views, 0

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        return await self._views.save(collection, documents)

    async def load(self, collection: Collection, ids: Sequence[str]) -> dict[str, Document]:
        self.reads += 1
        return await self._views.load(collection, ids)


async def test_a_page_asks_for_its_texts_once_and_without_any_not_at_all(club: Club) -> None:
    views: Any = Counting(club.wiring.store.views)
    kept = Remarks(views, club.clock)
    assert await kept.texts([Line(), Line(note="old")]) == {}
    assert await kept.note(Line(note="old")) == "old"
    assert views.reads == 0
    ids = [await kept.write(Said(text, "M1", "M1", "M2")) for text in "abc"]
    lines = [*(Line(remark=id_) for id_ in ids), Line(note="old"), Line(), Line(remark="rmk_gone")]
    found = await kept.texts(lines)
    assert [shown(line, found) for line in lines] == ["a", "b", "c", "old", None, None]
    assert views.reads == 1


# where they are


async def lived(club: Club) -> None:
    """A text of each kind."""
    pool = await family(club)
    club.clock.now += DAY
    assert (await accepted(club, (await sent(club)).json()["transfer_id"]))["status"] == "accepted"
    body = {"to": "M3", "points": 50, "note": TEXT}
    assert (await club.post("M2", f"{pool}/transfers", body)).status_code == 201
    for points in (5, 600, 700):
        body = {"points": points, "reason": "goodwill", "note": TEXT}
        request = (await club.post("agent:A1", CORRECTIONS, body)).json()["request_id"]
        if points == 600:
            answer = await club.post("operator:O1", f"{CORRECTIONS}/{request}:approve")
            assert answer.status_code == 200


async def test_no_fact_message_or_export_has_the_text_in_it(any_club: Club, tmp_path: Path) -> None:
    club, wiring = any_club, any_club.wiring
    await lived(club)
    bus = open_bus(BusSettings("sqlite", f"sqlite:{tmp_path / 'bus'}"))
    await bus.prepare([TopicSpec(ENTRIES.name, 2)])
    relay = Relay(wiring.entries, bus, lambda fact: ENTRIES.name, Alone())
    facts = [fact async for found in wiring.entries.scan() for fact in found]
    await wiring.follower.handle(facts)
    while await relay.step():
        pass
    await wiring.chain.seal_missing()
    lines = [line async for line in wiring.chain.export()]
    await bus.close()
    said = [
        each["remark"]
        for owner in ("M1", "M2", "M3")
        for each in await terms(wiring, owner)
        if "remark" in each
    ]
    assert len(said) == 7
    assert len(set(said)) == 5  # both sides of a transfer have one
    assert len(await texts(wiring)) == 5
    for part in ("Jürgen", "alles Gute"):
        assert [line for line in lines if part.encode() in line] == []
        assert tables_with(tmp_path, part) <= {REMARKS.name}
    assert any(said[0].encode() in line for line in lines)
    assert tables_with(tmp_path / "bus", said[0]) != set()
    assert verified(lines).findings == []
    assert await club.findings() == []


async def test_what_is_kept_beside_a_fact_does_not_depend_on_the_text(club: Club) -> None:
    await club.earn("M1", 1000)
    for text in ("yes", "no"):
        assert (await sent(club, text)).status_code == 201
    facts = await club.wiring.entries.read("account:M1", 1)
    hashes = await club.wiring.entries.input_hashes("account:M1", [fact.key for fact in facts])
    assert len(hashes) == 2
    assert len(set(hashes.values())) == 1


async def test_a_rebuild_leaves_them_alone(any_club: Club) -> None:
    club = any_club
    await lived(club)
    await club.follow()
    before = await texts(club.wiring)
    rows = await club.get("M2", RECEIVED)
    await rebuild.rebuild(club.wiring)
    assert await texts(club.wiring) == before == [TEXT] * 5
    assert await club.get("M2", RECEIVED) == rows
    assert await notes(club, "M1", f"{SENT}?direction=sent") == [TEXT, None]


# once


def requests() -> Iterable[tuple[str, str, dict[str, object]]]:
    yield "M1", SENT, {"to": "M2", "points": 30}
    yield "agent:A1", CORRECTIONS, {"points": 30, "reason": "goodwill"}
    yield "agent:A1", CORRECTIONS, {"points": 700, "reason": "goodwill"}


@pytest.mark.parametrize(("who", "path", "body"), list(requests()))
async def test_the_same_request_again_shows_the_first_text_and_leaves_no_other(
    any_club: Club, who: str, path: str, body: dict[str, object]
) -> None:
    club = any_club
    await club.earn("M1", 1000)
    first = await club.post(who, path, {**body, "note": TEXT}, key="k")
    await club.start()
    again = await club.post(who, path, {**body, "note": TEXT}, key="k")
    assert again.status_code in (200, 202)
    assert again.json() == first.json()
    assert again.json()["note"] == TEXT
    for other in ({**body, "note": "Another"}, body, {**body, "points": 31, "note": TEXT}):
        assert refused(await club.post(who, path, other, key="k")) == (
            409,
            "idempotency_key_reused",
        )
    assert await texts(club.wiring) == [TEXT]
    plain = await club.post(who, path, body, key="plain")
    assert "note" not in plain.json()
    assert refused(await club.post(who, path, {**body, "note": TEXT}, key="plain"))[0] == 409
    assert await texts(club.wiring) == [TEXT]


async def test_spending_of_a_pool_again_leaves_no_other_text(club: Club) -> None:
    path = f"{await family(club)}/transfers"
    body = {"to": "M3", "points": 50, "note": TEXT}
    answers = [await club.post("M1", path, body, key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    other = await club.post("M1", path, {**body, "note": "Another"}, key="k")
    assert refused(other) == (409, "idempotency_key_reused")
    assert await texts(club.wiring) == [TEXT]


async def test_of_many_at_once_one_text_is_kept(any_club: Club) -> None:
    club = any_club
    await club.earn("M1", 1000)
    await club.start()
    answers = await asyncio.gather(
        *(sent(club, f"{n % 2}", key="k", process=club.processes[n // 4]) for n in range(8))
    )
    (kept,) = await texts(club.wiring)
    for n, answer in enumerate(answers):
        assert (answer.status_code in (200, 201)) == (f"{n % 2}" == kept), answer.text
        assert answer.json().get("note") == (kept if f"{n % 2}" == kept else None)
    assert await club.facts("M1") == 2


async def test_what_is_refused_leaves_no_text(any_club: Club) -> None:
    club = any_club
    await club.earn("M1", 100)
    assert refused(await sent(club)) == (409, "insufficient_points")
    body = {"points": -5000, "reason": "goodwill", "note": TEXT}
    request = await club.post("agent", CORRECTIONS, {**body, "points": -500})
    assert refused(request) == (409, "insufficient_points")
    assert await texts(club.wiring) == []
    assert await club.facts("M1") == 1


# erased


async def test_what_a_member_wrote_or_is_about_is_erased_and_shows_as_absent(
    any_club: Club,
) -> None:
    club = any_club
    for member in ("M1", "M2", "M3"):
        await club.earn(member, 1000)
    for member, to in (("M1", "M2"), ("M2", "M1"), ("M2", "M3")):
        path = f"/v1/members/{member}/points/transfers"
        body = {"to": to, "points": 10, "note": f"{member} to {to}"}
        assert (await club.post(member, path, body, key=f"to-{to}")).status_code == 201
    body = {"points": 5, "reason": "goodwill", "note": "about M1"}
    assert (await club.post("agent", CORRECTIONS, body)).status_code == 201
    await club.follow()
    assert await club.wiring.remarks.erase("M1") == 3
    assert await texts(club.wiring) == ["M2 to M3"]
    assert await club.wiring.remarks.erase("M1") == 0
    assert await notes(club, "M1", f"{SENT}?direction=sent") == [None]
    assert await notes(club, "M2", RECEIVED) == [None]
    assert await notes(club, "M2", "/v1/members/M2/points/statement") == ["M2 to M3", None, None]
    assert await notes(club, "agent", CORRECTIONS) == [None]
    again = await club.post("M1", SENT, {"to": "M2", "points": 10, "note": "x"}, key="to-M2")
    assert (again.status_code, again.json().get("note")) == (200, None)
    assert await texts(club.wiring) == ["M2 to M3"]
    assert await club.findings() == []


async def test_however_many_there_are_all_are_erased(club: Club) -> None:
    kept = club.wiring.remarks
    for n in range(205):
        await kept.write(Said(f"{n}", "A1", "M1", "M2" if n % 2 else None))
    await kept.write(Said("itself", "M2", "M2", "M2"))
    assert await kept.erase("M2") == 103
    assert await kept.erase("M1") == 103
    assert await texts(club.wiring) == []


# facts from before


async def offer_of_old(club: Club, key: str) -> str:
    """What M1 offered under a key before there were remarks; returns its id."""
    now, id_ = club.clock.now, derived_id("transfer", "member:M1", "M1", key)
    send = Send("M1", request_key(id_), id_, "M2", "base", 300, now, now + 14 * DAY, "M1")
    await post_old(club.wiring, send, send.key, ("transfer", "M2", "base", 300, TEXT))
    return id_


async def test_a_transfer_from_before_shows_the_note_that_is_in_it(any_club: Club) -> None:
    club = any_club
    await club.earn("M1", 1000)
    id_ = await offer_of_old(club, "k")
    await club.follow()
    assert await notes(club, "M2", f"{RECEIVED}?status=offered") == [TEXT]
    assert (await accepted(club, id_))["note"] == TEXT
    await club.follow()
    assert await notes(club, "M1", "/v1/members/M1/points/statement") == [TEXT, None]
    assert await notes(club, "M2", "/v1/members/M2/points/statement") == [TEXT]
    assert await texts(club.wiring) == []
    assert await club.findings() == []
    await rebuild.rebuild(club.wiring)
    assert await notes(club, "M2", RECEIVED) == [TEXT]
    assert (await sent(club, "new")).status_code == 201
    await club.wiring.chain.seal_missing()
    lines = [line async for line in club.wiring.chain.export()]
    assert verified(lines).findings == []
    assert [line for line in lines if b"new" in line] == []
    assert len([line for line in lines if TEXT.encode() in line]) == 2  # as they were made
    await club.follow()
    assert await club.findings() == []


async def test_a_correction_that_was_asked_for_before_shows_its_note(club: Club) -> None:
    id_ = derived_id("adjustment", "A1", "M1", "k")
    asked = AdjustmentTerms(id_, "base", -5, "goodwill", "A1")
    await club.earn("M1", 1000)
    payload = Adjust("M1", request_key(id_), asked, club.clock.now, 0)
    await post_old(club.wiring, payload, payload.key, ("adjustment", "base", -5, "goodwill", TEXT))
    again = await club.post(
        "agent:A1", CORRECTIONS, {"points": -5, "reason": "goodwill", "note": TEXT}, key="k"
    )
    assert (again.status_code, again.json()["note"]) == (202, TEXT)
    answer = await club.post("operator:O1", f"{CORRECTIONS}/{id_}:approve")
    assert (answer.status_code, answer.json()["note"]) == (200, TEXT)
    await club.follow()
    assert await notes(club, "agent", CORRECTIONS) == [TEXT]
    assert await texts(club.wiring) == []
    assert await club.findings() == []


async def test_a_request_that_was_answered_before_is_known_again(club: Club) -> None:
    """Its digest has the text in it."""
    await club.earn("M1", 1000)
    id_ = await offer_of_old(club, "k")
    again = await sent(club, key="k")
    assert (again.status_code, again.json()["note"]) == (200, TEXT)
    assert again.json()["transfer_id"] == id_
    for text in ("Another", None):
        assert refused(await sent(club, text, key="k")) == (409, "idempotency_key_reused")
    assert await club.facts("M1") == 2
    assert await texts(club.wiring) == []
