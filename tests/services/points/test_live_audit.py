"""The audit beside a service at work: what moves is not broken, and what is broken is found."""

import asyncio
from itertools import count

from contracts.points import Parcel, TransferTerms
from kit.audit import Verdict
from services.points import audit
from services.points.commands import carry_out, digest
from services.points.domain.deciding import Command
from services.points.domain.moving import (
    EndSent,
    Receive,
    Send,
    end_of_transfer,
    transfer_key,
)
from tests.services.points.club import Club

SENT = "/v1/members/M1/points/transfers"


async def offered(club: Club, points: int = 300) -> str:
    """M1 offers points to M2; the transfer's id."""
    await club.earn("M1", 1000)
    answer = await club.post("M1", SENT, {"to": "M2", "points": points})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["transfer_id"])


async def accepted(club: Club, transfer: str) -> None:
    path = f"/v1/members/M2/points/transfers/{transfer}:accept"
    assert (await club.post("M2", path, {"sender": "M1"})).status_code == 200


async def carried(club: Club, command: Command, key: str) -> None:
    policy = club.wiring.rules.policy
    await carry_out(club.wiring.ledger, policy, command, key, digest("planted"))


async def test_a_service_at_work_is_not_accused(any_club: Club) -> None:
    club = any_club
    stop = asyncio.Event()

    async def lives(member: int) -> None:
        """Earn, send on, accept, set aside and take."""
        me, other = f"A{member}", f"B{member}"
        for _ in count():
            await club.earn(me, 100)
            sent = f"/v1/members/{me}/points/transfers"
            answer = await club.post("agent", sent, {"to": other, "points": 50})
            if answer.status_code == 201:
                id_ = answer.json()["transfer_id"]
                path = f"/v1/members/{other}/points/transfers/{id_}:accept"
                await club.post("agent", path, {"sender": me})
            holds = f"/v1/members/{me}/points/holds"
            held = await club.post("agent", holds, {"points": 10, "purpose": "table"})
            if held.status_code == 201:
                await club.post("agent", f"{holds}/{held.json()['hold_id']}:capture")
            await club.follow()
            club.clock.now += 3_600_000_000
            if stop.is_set():
                return

    living = [asyncio.create_task(lives(member)) for member in range(4)]
    for _ in range(5):
        assert (await audit.examine(club.wiring)).findings == []
    stop.set()
    await asyncio.gather(*living)
    await club.follow()
    assert await audit.examine(club.wiring) == Verdict()


async def test_an_accepted_transfer_whose_sender_has_not_been_told_is_unsettled(
    club: Club,
) -> None:
    transfer = await offered(club)
    await accepted(club, transfer)
    expected = f"transfer {transfer}: not settled, its sender's account is to follow"
    assert expected in (await audit.examine(club.wiring, 0)).unsettled
    await club.follow()
    assert await audit.examine(club.wiring) == Verdict()


async def test_points_that_arrive_at_two_members_are_found(club: Club) -> None:
    transfer = await offered(club)
    await accepted(club, transfer)
    await club.follow()
    parcels = (Parcel("base.never", "base", 0, 300),)
    terms = TransferTerms(transfer, "M3", club.clock.now + 1, parcels)
    receive = Receive("M3", "M1", terms, club.clock.now, "M3")
    await carried(club, receive, transfer_key(transfer))
    assert (await audit.examine(club.wiring, 0)).findings == [
        f"transfer {transfer}: 300 points arrived or came back that nobody sent"
    ]


async def test_points_that_arrive_and_come_back_are_found(club: Club) -> None:
    transfer = await offered(club)
    await accepted(club, transfer)
    back = EndSent("M1", transfer, club.clock.now, accepted=False, reason="declined")
    await carried(club, back, end_of_transfer(transfer))
    assert (await audit.examine(club.wiring, 0)).findings[:1] == [
        f"transfer {transfer}: 300 points arrived or came back that nobody sent"
    ]


async def test_points_that_both_sides_have_forgotten_are_found(club: Club) -> None:
    transfer = await offered(club)
    done = EndSent("M1", transfer, club.clock.now, accepted=True)
    await carried(club, done, end_of_transfer(transfer))
    await club.follow()
    assert (await audit.examine(club.wiring, 0)).findings == [
        f"transfer {transfer}: 300 points are on their way, and nobody knows"
    ]


async def test_what_has_moved_at_the_second_look_is_unsettled(club: Club) -> None:
    """As when an arrival is written behind a walk that has passed its sender's account."""
    await club.earn("M1", 1000)
    now = club.clock.now
    terms = TransferTerms("t", "M2", now + 1, (Parcel("base.never", "base", 0, 300),))
    await carried(club, Receive("M2", "M1", terms, now, "M2"), transfer_key("t"))
    looking = asyncio.create_task(audit.examine(club.wiring))
    await asyncio.sleep(0.1)
    send = Send("M1", "request:t", "t", "M2", "base", 300, now, now + 1, "M1")
    await carried(club, send, send.key)
    await club.follow()
    verdict = await looking
    assert verdict.findings == []
    sentence = "transfer t: 300 points arrived or came back that nobody sent"
    assert f"{sentence}, but that has moved since" in verdict.unsettled
