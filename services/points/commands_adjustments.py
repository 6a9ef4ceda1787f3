"""Use cases of manual corrections: small ones alone, larger ones by two people."""

from dataclasses import replace

from msgspec import structs

from contracts.points import AccountMarked, AdjustmentTerms, PointsPosted
from kit.auth import Principal
from kit.errors import ServiceError
from programmes.ledger import Reason
from services.points.asking import Asked, request_key, unknown, wallet_of
from services.points.commands import Outcome, body_of, carry_out, digest
from services.points.commands_remarks import Told, with_remark
from services.points.domain.adjusting import Adjust, Approve, Reject, adjustment_key
from services.points.domain.errors import AlreadyEnded, NotKnown
from services.points.domain.terms import Credit, credit
from services.points.policy import Rules
from services.points.remarks import said
from services.points.safeguards import may_correct_alone
from services.points.schemas_adjustments import AdjustmentBody
from services.points.wiring import Wiring


def require_other(principal: Principal, member_id: str) -> None:
    """Nobody corrects their own account, or has a say in it."""
    if principal.member_id == member_id:
        message = "Nobody corrects their own account; ask a colleague"
        raise ServiceError("forbidden", "own_account", message)


async def ask(wiring: Wiring, asked: Asked, wanted: AdjustmentBody) -> Told:
    """Correct a balance, or ask a second person to. Raises ServiceError."""
    rules = wiring.rules
    wallet = wallet_of(rules, wanted.wallet, spendable=False)
    reason = _reason(rules, wanted.reason)
    terms = AdjustmentTerms(asked.id, wallet, wanted.points, reason.code, asked.by)
    command = Adjust(
        asked.owner,
        asked.key,
        terms,
        asked.at,
        rules.adjustments.alone_up_to,
        _credit(rules, terms, asked.at),
        reason.account,
    )
    command = await _within_a_day(wiring, asked, command)

    async def carry(remark: str | None, content: bytes) -> Outcome:
        noted = replace(command, asked=structs.replace(command.asked, remark=remark))
        return await carry_out(wiring.ledger, rules.policy, noted, asked.key, content)

    written = said(wanted.note, asked.by, asked.owner)
    content = ("adjustment", wallet, wanted.points, wanted.reason)
    return await with_remark(wiring, asked, written, content, carry)


async def _within_a_day(wiring: Wiring, asked: Asked, command: Adjust) -> Adjust:
    """The correction; as a request when who asks has corrected too much alone within a day."""
    rules, terms = wiring.rules, command.asked
    if rules.adjustments.alone_up_to_in_a_day is None or abs(terms.points) > command.alone_up_to:
        return command
    now = wiring.clock()
    if await may_correct_alone(wiring.ledger, wiring.meters, rules.policy, asked, command, now):
        return command
    return replace(command, asked=structs.replace(terms, waits_because="daily_limit"))


def _reason(rules: Rules, code: str) -> Reason:
    known = {reason.code: reason for reason in rules.adjustments.reasons}
    if code not in known:
        raise unknown("unknown_reason", "reason", code, known)
    return known[code]


def _credit(rules: Rules, terms: AdjustmentTerms, at: int) -> Credit | None:
    """Into which lot points that are given go: as if they were earned now, and at once."""
    if terms.points < 0:
        return None
    lots, wallet = rules.policy.lots, terms.wallet
    return credit(lots, lots.rule(wallet), wallet, terms.points, at, "", terms.request_id)


async def approve(wiring: Wiring, owner: str, request_id: str, by: str) -> Outcome:
    """Book what somebody else asked for. Raises AlreadyEnded, NotKnown, SamePerson."""
    rules, at = wiring.rules, wiring.clock()
    terms = await _requested(wiring, owner, request_id)
    account = _reason(rules, terms.reason).account
    command = Approve(owner, request_id, at, by, _credit(rules, terms, at), account)
    return await _decide(wiring, command, digest("approve", request_id, by))


async def reject(wiring: Wiring, owner: str, request_id: str, reason: str, by: str) -> Outcome:
    """Refuse a request, or take back one's own. Raises AlreadyEnded, NotKnown."""
    await _requested(wiring, owner, request_id)
    command = Reject(owner, request_id, wiring.clock(), by, reason)
    return await _decide(wiring, command, digest("reject", request_id, by, reason))


async def _requested(wiring: Wiring, owner: str, request_id: str) -> AdjustmentTerms:
    """What was asked for, whether or not that is decided by now. Raises NotKnown."""
    key = request_key(request_id)
    fact = (await wiring.entries.find(wiring.ledger.stream(owner), [key])).get(key)
    body = body_of(fact) if fact is not None else None
    if not isinstance(body, AccountMarked) or body.adjustment is None:
        raise NotKnown("adjustment", request_id)
    return body.adjustment


async def _decide(wiring: Wiring, command: Approve | Reject, content: bytes) -> Outcome:
    key, policy = adjustment_key(command.request_id), wiring.rules.policy
    try:
        return await carry_out(wiring.ledger, policy, command, key, content, "adjustment")
    except AlreadyEnded:
        fact = (await wiring.entries.find(wiring.ledger.stream(command.owner), [key]))[key]
        how = "approved" if isinstance(body_of(fact), PointsPosted) else "rejected"
        raise AlreadyEnded("adjustment", command.request_id, how) from None
