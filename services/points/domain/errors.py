"""What can go wrong in the ledger. Leaves state the fact; the edge decides the status.

ServiceError (kit.errors)
├── kind ``broken``
│   └── UnbalancedEntry      a defect, never a user's mistake
├── kind ``invalid``
│   ├── AmountOutOfBounds    zero, negative, or beyond 2^53
│   ├── UnsettledBalance     a balance as of a time that is not over yet
│   └── SameOwner            a transfer to oneself
├── kind ``missing``
│   └── NotKnown             a hold, redemption, transfer or request that is not there
├── kind ``forbidden``
│   ├── StepUpNeeded         the caller must prove again who they are
│   └── PoolRoleMissing
└── kind ``refused``
    ├── InsufficientPoints
    ├── AlreadyEnded         a hold, redemption, transfer or request that ended another way
    ├── LimitReached         too much, too often, too many
    ├── CoolingOff           contact details changed a short while ago
    └── SamePerson           the second approver must be somebody else
"""

from kit.clock import from_micros
from kit.errors import BrokenInvariant, ServiceError


class UnbalancedEntry(BrokenInvariant):
    """The postings of an entry do not sum to zero."""

    def __init__(self, entry_id: str, sums: dict[str, int]) -> None:
        super().__init__(
            "unbalanced_entry", "An entry does not sum to zero", entry=entry_id, sums=sums
        )


class UnsettledBalance(ServiceError):
    """A balance is asked for as of a time that entries may still be booked at."""

    def __init__(self, as_of: int, latest: int) -> None:
        super().__init__(
            "invalid",
            "as_of_not_settled",
            "A balance as of a time is final a minute later: give an earlier as_of, or none",
            field="as_of",
            as_of=as_of,
            latest=latest,
        )


class AmountOutOfBounds(ServiceError):
    """Points are whole, positive, and below 2^53."""

    def __init__(self, field: str, points: int) -> None:
        super().__init__(
            "invalid",
            "amount_out_of_bounds",
            "Give a whole number of points from 1 to 9007199254740991",
            field=field,
            given=str(points),
        )


class SameOwner(ServiceError):
    """A transfer goes to somebody else."""

    def __init__(self, owner: str) -> None:
        super().__init__(
            "invalid",
            "transfer_to_oneself",
            "Points cannot be transferred to the account they come from: name another member",
            field="to",
            given=owner,
        )


class NotKnown(ServiceError):
    """There is no such thing in this account."""

    def __init__(self, what: str, given: str) -> None:
        super().__init__("missing", f"unknown_{what}", f"There is no such {what} here", given=given)


class StepUpNeeded(ServiceError):
    """So much at once needs a fresh proof of who is asking (RFC 9470)."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(
            "forbidden",
            "step_up_needed",
            f"Sign in again with a second factor, then repeat the request: {reason}",
            **facts,
        )


class PoolRoleMissing(ServiceError):
    """What a pool's members may do follows from their role in it."""

    def __init__(self, pool: str, needed: tuple[str, ...]) -> None:
        super().__init__(
            "forbidden",
            "pool_role_missing",
            f"In this pool that takes the role {' or '.join(needed)}",
            pool=pool,
            roles_needed=list(needed),
        )


class InsufficientPoints(ServiceError):
    """There is less than is asked for."""

    def __init__(self, wallet: str, needed: int, available: int) -> None:
        super().__init__(
            "refused",
            "insufficient_points",
            f"This takes {needed} points and there are {available}",
            wallet=wallet,
            needed=needed,
            available=available,
        )


class AlreadyEnded(ServiceError):
    """It ended before, and another way: it ends once."""

    def __init__(self, what: str, given: str, how: str) -> None:
        super().__init__(
            "refused", f"{what}_ended", f"This {what} has ended: {how}", given=given, ended=how
        )


class LimitReached(ServiceError):
    """A limit of the programme stands in the way; ``facts`` say which.

    ``again_at``: when it lifts, if that is known (microseconds; callers are told a time).
    """

    def __init__(
        self, limit: str, message: str, *, again_at: int | None = None, **facts: object
    ) -> None:
        if again_at is not None:
            facts["again_at"] = from_micros(again_at)
        super().__init__("refused", "limit_reached", message, limit=limit, **facts)


class CoolingOff(ServiceError):
    """Points stay where they are for a while after contact details changed."""

    def __init__(self, until: int) -> None:
        super().__init__(
            "refused",
            "cooling_off",
            "Contact details changed a short while ago; points can leave the account later",
            until=from_micros(until),
        )


class SamePerson(ServiceError):
    """Four eyes see more than two."""

    def __init__(self, by: str) -> None:
        super().__init__(
            "refused", "same_person", "Somebody else than who asked must approve this", by=by
        )
