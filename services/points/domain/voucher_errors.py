"""Why a voucher is not issued, redeemed or changed. Leaves state the fact; no leaf names a code.

ServiceError (kit.errors)
├── CodeMistyped, CodeFormat                 kind ``invalid``: the code cannot be one
├── SeriesFixed, BudgetOnlyGrows             kind ``refused``: what a series never changes
├── SeriesClosed, SeriesOver                 kind ``refused``: nothing is issued from it
├── BudgetSpent, CodesSpent, CodeTaken       kind ``refused``: nothing is left of it
├── VoucherUnknown                           kind ``missing``: none, or none for this caller
├── AlreadyRedeemed, AlreadyCancelled,
│   AlreadyExpired, NotYetValid              kind ``refused``: it cannot be used now
├── BasketMissing, BasketTooSmall,
│   CurrencyDiffers, NotCombinable           kind ``invalid``, ``refused``: not for this basket
└── RedemptionUnknown, RedemptionUndone, UndoTooLate,
    TooManyRedemptions, NotInParts           what a till asks for too late, too often, in vain
"""

from kit.clock import from_micros
from kit.errors import ServiceError


def _field(field: str, message: str, fix: str) -> list[dict[str, str]]:
    return [{"field": field, "message": message, "fix": fix}]


class CodeMistyped(ServiceError):
    """The check characters say that what was typed is no code."""

    def __init__(self) -> None:
        super().__init__(
            "invalid",
            "code_mistyped",
            "This code has a typing mistake: compare it with the voucher, character by character.",
            errors=_field("code", "has a wrong or a swapped character", "Type it once more."),
        )


class CodeFormat(ServiceError):
    """What was sent does not look like any code."""

    def __init__(self) -> None:
        super().__init__(
            "invalid",
            "code_format",
            "A code has 8 to 40 letters and digits; blanks and dashes do not count.",
            errors=_field("code", "is not a code", "Send the letters and digits as printed."),
        )


class SeriesFixed(ServiceError):
    """A member must be able to rely on what a series is."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "refused",
            "series_fixed",
            f"{field} of a series never changes. Close this one and define another.",
            field=field,
        )


class BudgetOnlyGrows(ServiceError):
    """A budget that shrinks might already be spent elsewhere."""

    def __init__(self, vouchers: int) -> None:
        super().__init__(
            "refused",
            "budget_only_grows",
            "A budget can be raised, not lowered. To stop issuing, send closed: true.",
            vouchers=vouchers,
        )


class SeriesClosed(ServiceError):
    """A marketer has closed it."""

    def __init__(self, series_id: str) -> None:
        super().__init__("refused", "series_closed", "This series is closed", series_id=series_id)


class SeriesOver(ServiceError):
    """What it would issue now would be worth nothing."""

    def __init__(self, series_id: str, until: int) -> None:
        super().__init__(
            "refused",
            "series_over",
            "The vouchers of this series are no longer valid: move its valid_until",
            series_id=series_id,
            valid_until=from_micros(until),
        )


class BudgetSpent(ServiceError):
    """As many vouchers are issued as the budget allows."""

    def __init__(self, series_id: str, vouchers: int) -> None:
        super().__init__(
            "refused",
            "voucher_budget_spent",
            "The budget of this series is spent: raise most_vouchers or most_value",
            series_id=series_id,
            vouchers=vouchers,
        )


class CodesSpent(ServiceError):
    """Every imported code is issued."""

    def __init__(self, series_id: str) -> None:
        super().__init__(
            "refused",
            "voucher_codes_spent",
            "Every code of this series is issued: import more",
            series_id=series_id,
        )


class CodeTaken(ServiceError):
    """An imported code is another request's, or a voucher of another series."""

    def __init__(self) -> None:
        super().__init__("refused", "code_taken", "This code is in use already; leave it out")


class VoucherUnknown(ServiceError):
    """No voucher, or none for this caller: the two cannot be told apart from outside."""

    def __init__(self) -> None:
        super().__init__(
            "missing",
            "voucher_unknown",
            "No voucher that can be redeemed here has this code. Compare it with the voucher.",
        )


class AlreadyRedeemed(ServiceError):
    """It was used up; when is said, by whom is not."""

    def __init__(self, at: int) -> None:
        super().__init__(
            "refused",
            "voucher_redeemed",
            "This voucher has been redeemed already",
            redeemed_at=from_micros(at),
        )


class AlreadyCancelled(ServiceError):
    """An agent has made it void."""

    def __init__(self, at: int) -> None:
        super().__init__(
            "refused",
            "voucher_cancelled",
            "This voucher has been cancelled",
            cancelled_at=from_micros(at),
        )


class AlreadyExpired(ServiceError):
    """Its time is over, whether or not the duty has noted it yet."""

    def __init__(self, at: int) -> None:
        super().__init__(
            "refused", "voucher_expired", "This voucher has expired", expired_at=from_micros(at)
        )


class NotYetValid(ServiceError):
    """Its time has not come."""

    def __init__(self, at: int) -> None:
        super().__init__(
            "refused",
            "voucher_not_yet_valid",
            "This voucher is not valid yet",
            valid_from=from_micros(at),
        )


class BasketMissing(ServiceError):
    """What this voucher takes off depends on the basket."""

    def __init__(self) -> None:
        super().__init__(
            "invalid",
            "basket_missing",
            "This voucher needs the basket: its amount in minor units, and its currency",
            errors=_field("basket", "is required for this voucher", "Send amount and currency."),
        )


class BasketTooSmall(ServiceError):
    """The series asks for a larger one."""

    def __init__(self, minimum: int) -> None:
        super().__init__(
            "refused",
            "basket_too_small",
            "The basket is below the minimum of this voucher",
            minimum_basket=minimum,
        )


class CurrencyDiffers(ServiceError):
    """A voucher is worth something in its own currency only."""

    def __init__(self, currency: str) -> None:
        super().__init__(
            "refused",
            "currency_differs",
            f"This voucher is for baskets in {currency}",
            currency=currency,
        )


class NotCombinable(ServiceError):
    """Another voucher is in the same basket."""

    def __init__(self) -> None:
        super().__init__(
            "refused",
            "voucher_not_combinable",
            "This voucher cannot be combined with another one in the same basket",
        )


class NotInParts(ServiceError):
    """It is used up at once, whatever the basket."""

    def __init__(self) -> None:
        super().__init__(
            "invalid",
            "voucher_not_partial",
            "This voucher cannot be used in parts: leave amount out",
            errors=_field("amount", "is not for this voucher", "Leave it out."),
        )


class TooManyRedemptions(ServiceError):
    """A voucher's history is bounded."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "refused",
            "too_many_redemptions",
            f"A voucher can be redeemed in {most} parts at most: cancel it and issue another",
        )


class RedemptionUnknown(ServiceError):
    """This partner did not redeem that."""

    def __init__(self) -> None:
        super().__init__(
            "missing", "redemption_unknown", "You have redeemed no voucher under these ids"
        )


class RedemptionUndone(ServiceError):
    """A retry of what was taken back must not look like a redemption."""

    def __init__(self) -> None:
        super().__init__(
            "refused",
            "redemption_undone",
            "This redemption was undone: to redeem the voucher again, use a new Idempotency-Key",
        )


class UndoTooLate(ServiceError):
    """A till's mistake is noticed soon."""

    def __init__(self, until: int) -> None:
        super().__init__(
            "refused",
            "undo_too_late",
            "It is too late to undo this redemption: ask an agent for another voucher",
            undoable_until=from_micros(until),
        )
