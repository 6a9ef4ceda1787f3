"""Facts of the points service: the ledger. Stream ``account:{member_id}``.

An entry is double entry: its postings sum to zero. Member accounts are named
``member/{wallet}``, system accounts ``issuance/{wallet}``, ``redemption/{wallet}`` and so on; the
stream says which member.
"""

from typing import Literal

import msgspec

from contracts.events import Grant

EntryKind = Literal["earn", "return"]


class Posting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side of an entry: points into (+) or out of (-) an account.

    ``lot`` names the lot a credit opens or a debit consumes; the spine's single endless lot has
    none.
    """

    account: str
    wallet: str
    amount: int
    lot: str | None = None


class PointsPosted(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry in a member's account. The envelope's ``posted_at`` never decreases in a stream.

    ``reward_seq`` is the decision's seq that caused it (the watermark of what the account has
    absorbed). ``balances`` are the member's balances after it, by wallet. ``grants`` is what was
    earned, by campaign, wallet and purchase line; ``reverses`` is the activity whose earnings a
    return takes back.
    """

    entry_id: str
    member_id: str
    kind: EntryKind
    activity_id: str
    reward_seq: int
    postings: tuple[Posting, ...]
    balances: dict[str, int]
    grants: tuple[Grant, ...] = ()
    reverses: str | None = None
