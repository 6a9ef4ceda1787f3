"""Use cases that write: carry out a command on an account, post what events decided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

import msgspec

from contracts.envelope import Fact
from contracts.events import Done, Grant, RewardGranted, RewardReturned, RewardWithheld
from contracts.members import MemberFileChanged
from contracts.points import AccountMarked, PointsPosted, Progress
from kit.errors import ServiceError
from kit.streams import Command as StreamCommand
from kit.streams import New, Result, Streams
from services.points.domain.account import Account
from services.points.domain.deciding import ChangeContact, Command, decide
from services.points.domain.earning import Earn, Earned, Note, TakeBack, credits, entry_key
from services.points.domain.entries import Policy
from services.points.domain.errors import AlreadyEnded, NotKnown
from services.points.policy import Rules
from services.points.views import Ledger


class _Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grant as it came: its shares by line, most of a decision's bytes, are passed on unread."""

    campaign_id: str
    wallet: str
    points: int
    lines: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _AsOf(msgspec.Struct, frozen=True):
    tier: str


class _Granted(msgspec.Struct, frozen=True):
    """As much of a RewardGranted as posting looks at."""

    activity_id: str
    member_id: str
    as_of: _AsOf
    grants: tuple[_Grant, ...]
    done: Done | None = None


_granted = msgspec.json.Decoder(_Granted)
_granted_whole = msgspec.json.Decoder(RewardGranted)
_withheld = msgspec.json.Decoder(RewardWithheld)
_returned = msgspec.json.Decoder(RewardReturned)
_changed = msgspec.json.Decoder(MemberFileChanged)
ROUNDS = 5
"""How often a command is tried again that lost twenty races for its account in a row."""
CONTACTS = frozenset(("email", "phone"))
_bodies: dict[str, msgspec.json.Decoder[Any]] = {
    "PointsPosted": msgspec.json.Decoder(PointsPosted),
    "AccountMarked": msgspec.json.Decoder(AccountMarked),
}
_encoder = msgspec.json.Encoder()

Found = dict[tuple[str, int], Earned]
Grants = tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: the fact that bears its key, and whether it had been done before.

    ``facts`` are all that it made, with what time brought before and what followed on.
    """

    fact: Fact
    body: PointsPosted | AccountMarked
    repeated: bool = False
    facts: tuple[Fact, ...] = ()


def body_of(fact: Fact) -> Any:
    """Decode an entry or a mark read from the journal."""
    return _bodies[fact.type].decode(fact.body)


def digest(*parts: object) -> bytes:
    """A hash of what was asked, by which a retry is told from a misuse of its key."""
    return blake2b(_encoder.encode(parts), digest_size=16).digest()


def ending(how: str, key: str) -> bytes:
    """A hash of how something was asked to end under ``key``, alone or together with its begin."""
    return digest(how, key)


def deciding(policy: Policy) -> Callable[[Account, Command], list[New]]:
    """The domain's decide, as streams want it."""

    def run(account: Account, command: Command) -> list[New]:
        steps = decide(account, command, policy)
        return [
            New(
                step.key,
                type(step.fact).__name__,
                step.at,
                step.fact,
                ending("Capture", step.key) if step.follows_on else b"",
                step.after,
                step.follows_on,
            )
            for step in steps
        ]

    return run


async def carry_out(
    ledger: Ledger, policy: Policy, command: Command, key: str, asked: bytes, what: str = "request"
) -> Outcome:
    """Carry out one command whose fact bears ``key``; the same again returns the first outcome.

    Raises what the domain raises; AlreadyEnded when the key's fact is there and another was asked
    for (a hold that was released cannot be captured).
    """
    asking = StreamCommand(command.owner, key, asked, command)
    result = await _patiently(ledger, policy, asking)
    for fact in result.facts:
        if fact.key == key:
            return Outcome(fact, body_of(fact), result.repeated, result.facts)
    raise await _refusal(ledger, command.owner, key, result, what)


async def _patiently(ledger: Ledger, policy: Policy, asking: StreamCommand[Command]) -> Result:
    """Carry out a command even when many ask for something of one account at once."""
    for _ in range(ROUNDS - 1):
        try:
            (result,) = await ledger.execute([asking], deciding(policy))
            return result
        except ServiceError as error:
            if error.code != "contended":
                raise
    (result,) = await ledger.execute([asking], deciding(policy))
    return result


async def _refusal(ledger: Ledger, owner: str, key: str, result: Result, what: str) -> ServiceError:
    """Why nothing was done: what ended it before says more than that it is not there."""
    error = result.error or NotKnown(what, key)
    if isinstance(error, NotKnown) or error.kind == "conflict":
        found = (await ledger.journal.find(ledger.stream(owner), [key])).get(key)
        if found is not None and what != "request":
            body = body_of(found)
            return AlreadyEnded(what, key.partition(":")[2], body.reason or body.kind)
    return error


async def post_decisions(ledger: Ledger, rules: Rules, facts: Sequence[Fact]) -> None:
    """Post a batch of decisions (stream ``decision:{member}``), in order for each member.

    Posting a decision again changes nothing: its seq is behind the account's, and its key taken.
    Each is read when its turn comes: a thousand that are read beforehand have left the processor's
    caches by then, and looking at them again costs as much as reading them.
    """
    concerned = [fact for fact in facts if _concerns(fact, rules)]
    earned = await _earned(ledger, rules, concerned)
    commands = [
        StreamCommand(
            fact.owner, _key(fact), blake2b(fact.body, digest_size=16).digest(), fact, fact.trace
        )
        for fact in concerned
    ]
    run = deciding(rules.policy)

    def post(account: Account, fact: Fact) -> list[New]:
        return run(account, _command(fact, earned, rules))

    for result in await cast(Streams[Account, Fact], ledger).execute(commands, post):
        if result.error is not None:
            raise result.error


def _concerns(fact: Fact, rules: Rules) -> bool:
    """Whether a decision concerns an account; what was withheld only if it is watched."""
    kind = fact.type
    return kind in ("RewardGranted", "RewardReturned") or (
        kind == "RewardWithheld" and rules.watches
    )


def _key(fact: Fact) -> str:
    return f"progress:{fact.seq}" if fact.type == "RewardWithheld" else entry_key(fact.seq)


async def _earned(ledger: Ledger, rules: Rules, decisions: Sequence[Fact]) -> Found:
    """Return what each returned purchase earned, from this batch or from its entry."""
    wanted = {
        (fact.owner, _returned.decode(fact.body).returned.seq)
        for fact in decisions
        if fact.type == "RewardReturned"
    }
    if not wanted:
        return {}
    earned: Found = {
        (fact.owner, fact.seq): Earned(
            _granted_whole.decode(fact.body).grants,
            tuple(each.terms.lot for each in _credits(fact, _granted.decode(fact.body), rules)),
        )
        for fact in decisions
        if fact.type == "RewardGranted" and (fact.owner, fact.seq) in wanted
    }
    for member_id, seq in wanted - earned.keys():
        earned[member_id, seq] = await _posted(ledger, member_id, seq)
    return earned


async def _posted(ledger: Ledger, member_id: str, seq: int) -> Earned:
    key = entry_key(seq)
    found = await ledger.journal.find(ledger.stream(member_id), [key])
    if key not in found:
        return Earned()
    entry: PointsPosted = body_of(found[key])
    return Earned(entry.grants, entry.lots)


def _credits(fact: Fact, body: _Granted, rules: Rules) -> tuple[Any, ...]:
    return credits(
        rules.policy.lots,
        body.grants,
        body.as_of.tier,
        fact.occurred_at,
        body.activity_id,
        fact.seq,
    )


def _command(fact: Fact, earned: Found, rules: Rules) -> Command:
    """Read a decision and say what it asks of the account."""
    seq, at = fact.seq, fact.occurred_at
    if fact.type == "RewardGranted":
        given = _granted.decode(fact.body)
        progress, about = _progress(given.done, at)
        granted = _credits(fact, given, rules)
        grants = cast(Grants, given.grants)
        return Earn(given.member_id, given.activity_id, seq, at, grants, granted, progress, about)
    if fact.type == "RewardReturned":
        return _take_back(fact, _returned.decode(fact.body), earned, rules)
    withheld = _withheld.decode(fact.body)
    progress, about = _progress(withheld.done, at)
    moment = progress or Progress(at, "")
    return Note(withheld.member_id, withheld.activity_id, seq, at, moment, about)


def _take_back(fact: Fact, body: RewardReturned, earned: Found, rules: Rules) -> TakeBack:
    back = body.returned
    progress = None
    if rules.watches:
        gone = -1 if back.full else 0
        progress = Progress(back.occurred_at, "return", gone, -back.amount)
    found = earned[fact.owner, back.seq]
    return TakeBack(
        body.member_id, body.activity_id, fact.seq, fact.occurred_at, back, found, progress
    )


def _progress(done: Done | None, at: int) -> tuple[Progress | None, str | None]:
    """What an activity adds to vesting, and what it is about."""
    if done is None:
        return None, None
    purchases = 1 if done.activity == "purchase" else 0
    return Progress(at, done.activity, purchases, done.amount), done.about


async def note_contacts(ledger: Ledger, rules: Rules, facts: Sequence[Fact]) -> None:
    """Remember when contact details changed: points then stay where they are for a while."""
    commands: list[StreamCommand[Command]] = []
    for fact in facts:
        if fact.type != "MemberFileChanged":
            continue
        changed = _changed.decode(fact.body)
        if CONTACTS.isdisjoint((*changed.filled, *changed.cleared)):
            continue
        key = f"contact:{fact.seq}"
        payload = ChangeContact(changed.member_id, fact.seq, fact.occurred_at)
        commands.append(StreamCommand(changed.member_id, key, digest(key), payload, fact.trace))
    for result in await ledger.execute(commands, deciding(rules.policy)):
        if result.error is not None:
            raise result.error
