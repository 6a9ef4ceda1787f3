"""Send activities through the public API, in batches and in order.

While a batch is on its way the next one is made ready. Batches follow each other, since two of them
may hold activities of the same member. A batch that fails for a passing reason is sent again: the
API knows an activity by its source and external id, so nothing is recorded twice.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import httpx
import msgspec

from mooring.replay.activity import Item, ReplayError

BATCH_LIMIT = 1000
PASSING = (429, 502, 503, 504)
ATTEMPTS = 60
PAUSE_SECONDS = 0.5

Progress = Callable[[int], None]


@dataclass
class Tally:
    """How the activities fared; ``problems`` keeps the first few refusals."""

    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    members: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class _Item(msgspec.Struct):
    status: str
    problem: dict[str, object] | None = None


class _Answer(msgspec.Struct):
    results: list[_Item]


async def replay(
    client: httpx.AsyncClient,
    activities: Iterable[Item],
    *,
    batch: int = BATCH_LIMIT,
    progress: Progress = lambda done: None,
    tally: Tally | None = None,
) -> Tally:
    """Enrol members as they first appear and record their activities; return the tally.

    With a ``tally`` it goes on counting there, and knows who is enrolled already. ``client``
    carries the gateway's address and a token with role operator: history has many sources. Raises
    ReplayError when the API refuses a whole batch or stays unavailable.
    """
    if not 1 <= batch <= BATCH_LIMIT:
        raise ReplayError(f"A batch holds 1 to {BATCH_LIMIT} activities, not {batch}")
    tally = tally if tally is not None else Tally()
    loop = asyncio.get_running_loop()
    batches = _batches(iter(activities), batch)
    ready = await loop.run_in_executor(None, next, batches, None)
    while ready is not None:
        following = loop.run_in_executor(None, next, batches, None)
        await _send(client, ready, tally)
        progress(tally.sent)
        ready = await following
    return tally


def _batches(activities: Iterator[Item], size: int) -> Iterator[tuple[list[Item], bytes]]:
    """Yield the items and the request body of each batch."""
    while piece := list(islice(activities, size)):
        yield piece, b'{"activities":[' + b",".join(text for _, _, text in piece) + b"]}"


async def _send(client: httpx.AsyncClient, ready: tuple[list[Item], bytes], tally: Tally) -> None:
    items, body = ready
    new: dict[str, datetime] = {}
    for member, occurred_at, _ in items:
        if member not in tally.members:
            new[member] = min(occurred_at, new.get(member, occurred_at))
    if new:
        await _enrol(client, new)
        tally.members.update(new)
    answer = await _post(client, "/v1/activities:batch", body)
    for item in msgspec.json.decode(answer, type=_Answer).results:
        if item.status == "accepted":
            tally.accepted += 1
        elif item.status == "duplicate":
            tally.duplicate += 1
        else:
            tally.refused += 1
            tally.problems[9:] = [str((item.problem or {}).get("detail", item.problem))]
    tally.sent += len(items)


async def _enrol(client: httpx.AsyncClient, new: Mapping[str, datetime]) -> None:
    """Enrol members as of their first activity: a replay is history, and so is their joining."""
    members = sorted(new)
    for start in range(0, len(members), BATCH_LIMIT):
        piece = members[start : start + BATCH_LIMIT]
        enrolments = [
            {"member_id": member, "channel": "store", "enrolled_at": new[member]}
            for member in piece
        ]
        body = msgspec.json.encode({"members": enrolments})
        answer = await _post(client, "/v1/members:batch", body)
        results = msgspec.json.decode(answer, type=_Answer).results
        for member, item in zip(piece, results, strict=True):
            known = (item.problem or {}).get("status") == httpx.codes.CONFLICT
            if item.status == "refused" and not known:
                raise ReplayError(f"Member {member} cannot be enrolled: {item.problem}")


async def _post(client: httpx.AsyncClient, path: str, body: bytes) -> bytes:
    """Post, waiting out what passes; raises ReplayError with the problem's own words."""
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            response = await client.post(
                path, content=body, headers={"content-type": "application/json"}
            )
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        else:
            if response.status_code < 300:
                return response.content
            reason = f"{response.status_code} {response.text[:500]}"
            if response.status_code not in PASSING:
                break
        await asyncio.sleep(PAUSE_SECONDS)
    raise ReplayError(f"{path}: {reason}")
