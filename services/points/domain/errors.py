"""What can go wrong in the ledger. Leaves state the fact; the edge decides the status.

ServiceError (kit.errors)
├── UnbalancedEntry     kind ``broken``: a defect, never a user's mistake
└── UnsettledBalance    kind ``invalid``: a balance as of a time that is not over yet
"""

from kit.errors import BrokenInvariant, ServiceError


class UnbalancedEntry(BrokenInvariant):
    """The postings of an entry do not sum to zero."""

    def __init__(self, entry_id: str, sums: dict[str, int]) -> None:
        super().__init__(
            "unbalanced_entry", "An entry does not sum to zero", entry=entry_id, **sums
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
