"""Daily duties: lots open, vest and expire, holds and transfers time out.

Found by an index on the due time, a page at a time, never by looking at every account. A run that
was cut off is completed by the next; run twice, late or by two workers at once it has the same
result, since every account lets its time pass by itself before anything else happens to it.
"""

from collections.abc import Sequence

from kit.clock import Clock
from kit.streams import Command as StreamCommand
from kit.views.port import Query, Views
from services.points.commands import deciding, digest
from services.points.domain.advancing import Advance
from services.points.domain.deciding import Command
from services.points.domain.moving import Decline, EndSent, end_of_transfer, transfer_key
from services.points.following import Follower
from services.points.policy import Rules
from services.points.views import DUE, Ledger

PAGE = 500
"""Accounts moved at once: posting waits for no longer than a page takes."""
AT_A_TIME = 20 * PAGE
"""Accounts moved before the worker is told that the duty is alive: some seconds' work."""


class Duties:
    """What time alone brings, for every account that it concerns."""

    def __init__(
        self, ledger: Ledger, views: Views, rules: Rules, clock: Clock, follower: Follower
    ) -> None:
        self._ledger, self._views, self._rules = ledger, views, rules
        self._clock, self._follower = clock, follower

    async def some(self) -> bool:
        """Let time pass up to now in some accounts that are due; tell whether there may be more."""
        return await self.run(most=AT_A_TIME) >= AT_A_TIME

    async def run(self, to: int | None = None, most: int | None = None) -> int:
        """Let time pass up to ``to`` (now) in every account that is due; return how many were.

        ``most``: stop after about so many.
        """
        until = self._clock() if to is None else to
        query = Query(order_by="due", lower=1, upper=until + 1, limit=PAGE)
        moved = 0
        while (most is None or moved < most) and (documents := await self._views.find(DUE, query)):
            self._follower.learn(documents)
            await self._pass([document.id for document in documents], until)
            moved += len(documents)
        return moved

    async def _pass(self, owners: Sequence[str], to: int) -> None:
        await self._execute(
            [StreamCommand(owner, f"advance:{to}", b"", Advance(owner, to)) for owner in owners]
        )
        heads = await self._ledger.heads(owners)
        late = [
            (owner, transfer_id, sent.other)
            for owner in owners
            for transfer_id, sent in heads[owner].state.sent.items()
            if 0 < sent.until <= to
        ]
        if late:
            await self._end(late, to)
        await self._follower.note_due(owners)

    async def _end(self, late: Sequence[tuple[str, str, str]], to: int) -> None:
        """Decline transfers whose time is over, unless they were accepted first; then follow."""
        await self._execute(
            [
                _asked(Decline(other, owner, each, to, "system", "timed_out"), transfer_key(each))
                for owner, each, other in late
            ]
        )
        ended: list[StreamCommand[Command]] = []
        for owner, each, other in late:
            key = transfer_key(each)
            decided = await self._ledger.journal.find(self._ledger.stream(other), [key])
            accepted = key in decided and decided[key].type == "PointsPosted"
            command = EndSent(owner, each, to, accepted, "timed_out")
            ended.append(_asked(command, end_of_transfer(each)))
        await self._execute(ended)

    async def _execute(self, commands: Sequence[StreamCommand[Command]]) -> None:
        """Carry out commands; who was decided another way meanwhile stays decided."""
        for result in await self._ledger.execute(commands, deciding(self._rules.policy)):
            if result.error is not None and result.error.code != "idempotency_key_reused":
                raise result.error


def _asked(command: Command, key: str) -> StreamCommand[Command]:
    return StreamCommand(command.owner, key, digest(key), command)
