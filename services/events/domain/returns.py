"""Returns: how much of a purchase comes back, line by line.

Invariant: of no line does more come back than was paid for it, whatever returns arrive, in whatever
order. Returned totals never decrease, so the last ``after`` of a line is its total.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.events import (
    PurchaseLine,
    ReturnedLine,
    ReturnedPurchase,
    ReturnRequest,
)
from kit.errors import ServiceError

MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Purchase:
    """A recorded purchase, and what has come back of it so far, by line."""

    activity_id: str
    seq: int
    occurred_at: int
    lines: tuple[PurchaseLine, ...]
    taken: Mapping[int, int]


def with_returns(purchase: Purchase, returns: Iterable[ReturnedPurchase]) -> Purchase:
    """The purchase with these returns counted; those of other purchases are passed over."""
    taken = dict(purchase.taken)
    for returned in returns:
        if returned.activity_id == purchase.activity_id:
            for line in returned.lines:
                taken[line.line] = max(taken.get(line.line, 0), line.after)
    return Purchase(purchase.activity_id, purchase.seq, purchase.occurred_at, purchase.lines, taken)


def take_back(purchase: Purchase, request: ReturnRequest) -> ReturnedPurchase:
    """What this return takes back; refused when it asks for more than is left."""
    left = _left(purchase)
    wanted = _wanted(request, left)
    if unknown := sorted(wanted.keys() - left.keys()):
        raise ServiceError(
            "refused",
            "unknown_line",
            "The purchase has no such line; return lines that it has",
            lines=unknown,
            left=_listed(left),
        )
    over = sorted(line for line, amount in wanted.items() if amount > left[line])
    if over or not any(_still_there(purchase, line) for line in wanted):
        raise ServiceError(
            "refused",
            "return_exceeds_purchase",
            "More would come back than is left; return at most what is left of each line",
            lines=over or sorted(wanted),
            left=_listed(left),
        )
    return _returned(purchase, left, wanted)


def take_back_at_most(purchase: Purchase, request: ReturnRequest) -> ReturnedPurchase:
    """What a return that arrived before its purchase takes back.

    Its sender has been told long ago that it was recorded, so what is too much is cut, not refused.
    """
    left = _left(purchase)
    wanted = _wanted(request, left).items()
    return _returned(purchase, left, {k: min(v, left[k]) for k, v in wanted if k in left})


def _left(purchase: Purchase) -> dict[int, int]:
    return {line.line: line.amount - purchase.taken.get(line.line, 0) for line in purchase.lines}


def _wanted(request: ReturnRequest, left: Mapping[int, int]) -> dict[int, int]:
    if not request.lines:
        return dict(left)
    return {line: left.get(line, 0) if a is None else a for line, a in request.lines}


def _still_there(purchase: Purchase, line: int) -> bool:
    """A line worth nothing comes back once too: it is there until it has been returned."""
    paid = next(each.amount for each in purchase.lines if each.line == line)
    return purchase.taken.get(line, -1) < paid


def _returned(
    purchase: Purchase, left: Mapping[int, int], wanted: Mapping[int, int]
) -> ReturnedPurchase:
    lines = tuple(
        ReturnedLine(line.line, line.amount, before, before + wanted[line.line])
        for line in purchase.lines
        if line.line in wanted and _still_there(purchase, line.line)
        for before in (line.amount - left[line.line],)
    )
    amount = sum(line.after - line.before for line in lines)
    full = sum(left.values()) == amount
    return ReturnedPurchase(
        purchase.activity_id, purchase.seq, purchase.occurred_at, amount, full, lines
    )


def _listed(left: Mapping[int, int]) -> list[dict[str, int]]:
    return [{"line": line, "amount": amount} for line, amount in left.items()]
