"""Use cases that write: post what the events service decided."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import Grant, RewardGranted, RewardReturned
from contracts.points import PointsPosted
from kit.streams import Command as StreamCommand
from kit.streams import New
from services.points.domain.account import (
    Account,
    Earn,
    TakeBack,
    decide,
    entry_key,
)
from services.points.views import Accounts, Command

_granted = msgspec.json.Decoder(RewardGranted)
_returned = msgspec.json.Decoder(RewardReturned)
_posted = msgspec.json.Decoder(PointsPosted)

Earned = dict[tuple[str, int], tuple[Grant, ...]]


async def post_decisions(accounts: Accounts, facts: Sequence[Fact]) -> None:
    """Post a batch of decisions (stream ``decision:{member}``), in order for each member.

    Posting a decision again changes nothing: its seq is behind the account's, and its key taken.
    """
    decisions = [(fact, body) for fact in facts if (body := _read(fact)) is not None]
    earned = await _earned(accounts, decisions)
    commands = [_command(fact, body, earned) for fact, body in decisions]
    for result in await accounts.execute(commands, _facts):
        if result.error is not None:
            raise result.error


def _read(fact: Fact) -> RewardGranted | RewardReturned | None:
    """Decode the decisions that concern an account; what was withheld does not."""
    if fact.type == "RewardGranted":
        return _granted.decode(fact.body)
    if fact.type == "RewardReturned":
        return _returned.decode(fact.body)
    return None


async def _earned(
    accounts: Accounts, decisions: Sequence[tuple[Fact, RewardGranted | RewardReturned]]
) -> Earned:
    """Return what each returned purchase earned, from this batch or from its entry."""
    wanted = {
        (body.member_id, body.returned.seq)
        for _, body in decisions
        if isinstance(body, RewardReturned)
    }
    earned: Earned = {
        (body.member_id, fact.seq): body.grants
        for fact, body in decisions
        if isinstance(body, RewardGranted) and (body.member_id, fact.seq) in wanted
    }
    for member_id, seq in wanted - earned.keys():
        earned[member_id, seq] = await _posted_grants(accounts, member_id, seq)
    return earned


async def _posted_grants(accounts: Accounts, member_id: str, seq: int) -> tuple[Grant, ...]:
    key = entry_key(seq)
    found = await accounts.journal.find(accounts.stream(member_id), [key])
    return _posted.decode(found[key].body).grants if key in found else ()


def _command(
    fact: Fact, body: RewardGranted | RewardReturned, earned: Earned
) -> StreamCommand[Command]:
    payload: Command
    if isinstance(body, RewardGranted):
        payload = Earn(body.member_id, body.activity_id, fact.seq, fact.occurred_at, body.grants)
    else:
        payload = TakeBack(
            body.member_id,
            body.activity_id,
            fact.seq,
            fact.occurred_at,
            body.returned,
            earned[body.member_id, body.returned.seq],
        )
    digest = blake2b(fact.body, digest_size=16).digest()
    return StreamCommand(body.member_id, entry_key(fact.seq), digest, payload, fact.trace)


def _facts(account: Account, command: Command) -> list[New]:
    entry = decide(account, command)
    if entry is None:
        return []
    return [New(entry_key(command.seq), "PointsPosted", command.occurred_at, entry)]


def body_of(fact: Fact) -> Any:
    """Decode an entry read from the journal."""
    return _posted.decode(fact.body)
