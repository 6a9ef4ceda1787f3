"""Facts and outcomes as the API shows them."""

from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import (
    ActivityRecorded,
    ReturnedPurchase,
    ReturnMatched,
    RewardGranted,
    RewardReturned,
)
from kit.clock import from_micros
from kit.http.problems import STATUS
from services.events.commands import Outcome
from services.events.queries import Decided, decision_body
from services.events.schemas import ActivityView, DecisionView, ReturnedView

_recorded = msgspec.json.Decoder(ActivityRecorded)
_matched = msgspec.json.Decoder(ReturnMatched)


def receipt(activity_id: str | None, outcome: Outcome) -> dict[str, Any]:
    """What became of an activity; its problem is what the single endpoint would answer."""
    if outcome.error is None:
        assert outcome.fact is not None
        status = "duplicate" if outcome.duplicate else "accepted"
        return {"status": status, "activity_id": activity_id, "seq": outcome.fact.seq}
    error = outcome.error
    problem = {
        **error.facts,
        "code": error.code,
        "detail": error.message,
        "status": STATUS[error.kind],
    }
    shown: dict[str, Any] = {"status": "refused", "problem": problem}
    return shown if activity_id is None else {**shown, "activity_id": activity_id}


def activity_view(fact: Fact, match: Fact | None = None) -> ActivityView:
    """A fact of the activity stream; ``match`` says what a return that waited took back."""
    where: dict[str, Any] = {
        "seq": fact.seq,
        "occurred_at": from_micros(fact.occurred_at),
        "posted_at": from_micros(fact.posted_at),
    }
    if fact.type == "ReturnMatched":
        matched = _matched.decode(fact.body)
        return ActivityView(
            activity_id=matched.activity_id,
            member_id=matched.member_id,
            type="return_matched",
            purchase=matched.returned.activity_id,
            returned=_returned(matched.returned),
            **where,
        )
    body = _recorded.decode(fact.body)
    shown = msgspec.to_builtins(body)
    requested, returned = shown.pop("requested", None), body.returned
    if match is not None:
        returned = _matched.decode(match.body).returned
    shown |= {
        "returned": _returned(returned) if returned is not None else None,
        "purchase": requested["activity_id"] if requested else None,
        "amount": body.amount if body.type == "purchase" else None,
    }
    return ActivityView(**shown, **where)


def decision_view(activity_id: str, decided: Decided) -> DecisionView:
    """The decision on an activity, or what it waits for."""
    whose: dict[str, Any] = {
        "activity_id": activity_id,
        "member_id": decided.activity.owner,
        "seq": decided.activity.seq,
    }
    if decided.decision is None:
        return DecisionView(
            status="waiting", reason=decided.reason, explanation=decided.explanation, **whose
        )
    whose["decided_at"] = from_micros(decided.decision.posted_at)
    body = decision_body(decided.decision)
    if isinstance(body, RewardReturned):
        return DecisionView(status="returned", returned=_returned(body.returned), **whose)
    shown = msgspec.to_builtins(body)
    as_of = {"waited": True, "card_seq": 0, **shown["as_of"]} if body.as_of.tier else None
    kind = "granted" if isinstance(body, RewardGranted) else "withheld"
    return DecisionView.model_validate(shown | whose | {"status": kind, "as_of": as_of})


def _returned(returned: ReturnedPurchase) -> ReturnedView:
    return ReturnedView.model_validate(msgspec.to_builtins(returned))
