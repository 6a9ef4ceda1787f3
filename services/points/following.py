"""The service follows its own entries: the other side of transfers, lists, what falls due when.

All follow from what is on the topic, at least once and in order for each owner, and doing it again
changes nothing: so nothing is lost between two streams however a process dies.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from contracts.envelope import Fact
from contracts.points import TransferTerms
from kit.streams import Command as StreamCommand
from kit.views.port import Document, Views
from services.points import listing
from services.points.commands import deciding, digest
from services.points.domain.account import NEVER, Account
from services.points.domain.deciding import Command
from services.points.domain.moving import EndSent, Receive, end_of_transfer, transfer_key
from services.points.listing import KINDS
from services.points.policy import Rules
from services.points.views import DUE, Ledger

REMEMBERED = 100_000


class _Hold(msgspec.Struct, frozen=True):
    hold_id: str


class _Seen(msgspec.Struct, frozen=True):
    """As much of an entry or a mark as decides whether there is something to do."""

    kind: str
    mark_id: str = ""
    other: str | None = None
    reason: str | None = None
    transfer: TransferTerms | None = None
    hold: _Hold | None = None


_seen = msgspec.json.Decoder(_Seen)


class Follower:
    """Carries transfers on and keeps the index of what falls due."""

    def __init__(self, ledger: Ledger, views: Views, rules: Rules) -> None:
        self._ledger, self._views, self._rules = ledger, views, rules
        self._due: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def handle(self, facts: Sequence[Fact]) -> None:
        """Take in a batch of the service's own entries and marks."""
        seen = [(fact, _seen.decode(fact.body)) for fact in facts]
        await listing.absorb(self._views, [fact for fact, each in seen if each.kind in KINDS])
        commands = [c for fact, each in seen if (c := self._command(fact, each)) is not None]
        for result in await self._ledger.execute(commands, deciding(self._rules.policy)):
            if result.error is not None and result.error.code != "idempotency_key_reused":
                raise result.error  # another fact with this key: it was decided already
        # Accounts that another process wrote, as the API does, are known as they were before.
        self._ledger.outdated({fact.owner: fact.seq for fact, _ in seen})
        touched = dict.fromkeys(_may_be_due_earlier(seen))
        touched.update(dict.fromkeys(command.owner for command in commands))
        await self.note_due(list(touched))

    def _command(self, fact: Fact, seen: _Seen) -> StreamCommand[Command] | None:
        at, payload = fact.occurred_at, None  # when it happened, not when we came to it
        if seen.transfer is not None:
            payload, key = self._on_transfer(fact.owner, seen.kind, seen.transfer, at)
        elif seen.kind == "transfer_declined" and seen.other is not None:
            key = end_of_transfer(seen.mark_id)
            payload = EndSent(seen.other, seen.mark_id, at, False, seen.reason or "declined")
        if payload is None:
            return None
        return StreamCommand(payload.owner, key, digest(key), payload, fact.trace)

    def _on_transfer(
        self, owner: str, kind: str, terms: TransferTerms, at: int
    ) -> tuple[Receive | EndSent | None, str]:
        if kind == "transfer_out" and terms.at_once:
            key = transfer_key(terms.transfer_id)
            return Receive(terms.other, owner, terms, at, owner), key
        if kind == "transfer_in":
            return EndSent(terms.other, terms.transfer_id, at, True), end_of_transfer(
                terms.transfer_id
            )
        return None, ""

    async def note_due(self, owners: Sequence[str]) -> None:
        """Write down when each owner's account next changes by time, where that has changed."""
        heads = await self._ledger.heads(owners)
        await self._load([owner for owner in owners if owner not in self._due])
        documents, dues = [], {}
        for owner in owners:
            version, known = self._due[owner]
            due = next_due(heads[owner].state)
            if due != known:
                documents.append(Document(owner, version, b"{}", {"due": due or None}))
                dues[owner] = (version + 1, due)
        if documents:
            lost = await self._views.save(DUE, documents)
            self.forget(lost)
            self._due.update({o: d for o, d in dues.items() if o not in lost})
            if lost:
                await self.note_due(lost)
        while len(self._due) > REMEMBERED:
            self._due.popitem(last=False)

    def forget(self, owners: Sequence[str]) -> None:
        """Read what is written of these owners again, before it is next compared."""
        for owner in owners:
            self._due.pop(owner, None)

    def learn(self, documents: Iterable[Document]) -> None:
        """Remember what is written, as it was just read."""
        for document in documents:
            self._due[document.id] = (document.version, int(document.index.get("due") or 0))

    async def _load(self, owners: list[str]) -> None:
        if owners:
            there = await self._views.load(DUE, owners)
            self._due.update((owner, (0, 0)) for owner in owners if owner not in there)
            self.learn(there.values())


def _may_be_due_earlier(seen: Iterable[tuple[Fact, _Seen]]) -> Iterator[str]:
    """The owners of facts by which time may change an account earlier than it would have before.

    Points that are held and captured are gone: what has begun and ended here brings nothing due. An
    account that is looked at for what is not there any more is only looked at in vain.
    """
    held: dict[str, str] = {}
    for fact, each in seen:
        if each.kind == "hold" and each.hold is not None:
            held[each.hold.hold_id] = fact.owner
        elif each.kind == "capture" and each.hold is not None and each.hold.hold_id in held:
            del held[each.hold.hold_id]
        else:
            yield fact.owner
    yield from held.values()


def next_due(account: Account) -> int:
    """When time next changes an account, or ends a transfer it has sent; 0: never."""
    due = account.due or NEVER
    for sent in account.sent.values():
        if sent.until:
            due = min(due, sent.until)
    return 0 if due == NEVER else due
