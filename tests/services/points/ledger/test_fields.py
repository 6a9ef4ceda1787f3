"""Entries and accounts are made field by field, in order: each value is in the field it is for."""

import msgspec

from contracts.events import Grant
from contracts.points import (
    AdjustmentTerms,
    HoldTerms,
    Instalment,
    LotTerms,
    Parcel,
    PointsPosted,
    Progress,
    TransferTerms,
    VestingTerms,
)
from services.points.domain.account import (
    Account,
    Hold,
    Lot,
    PoolMember,
    Redeemed,
    Redemption,
    Sent,
    Totals,
    Vesting,
)
from services.points.domain.applying import apply
from services.points.domain.entries import Course, between

LATER = 9_000
TERMS = AdjustmentTerms("r1", "base", 5, "goodwill", "kim")
OPTIONS = {
    "grants": (Grant("summer", "base", 5),),
    "lots": ("base.2027-12-31",),
    "reverses": "act_0",
    "terms": (LotTerms("base.2027-12-31", "base", 0, LATER),),
    "vesting": (VestingTerms("base.never~vest-7.0", "loyal", 1, (Instalment(2, 5),)),),
    "progress": Progress(4, "purchase"),
    "forgiven": {"base": 3},
    "hold": HoldTerms("h1", LATER, "redemption"),
    "transfer": TransferTerms("t1", "M2", LATER, ()),
    "adjustment": TERMS,
    "reason": "goodwill",
    "by": "kim",
}
ACCOUNT = Account(
    absorbed=3,
    facts=4,
    at=50,
    balances={"base": 1},
    pending={"base": 2},
    held={"base": 3},
    lots={"base.never": Lot("base", left=1), "base.never~vest-1.0": Lot("base", left=2)},
    totals={"base": Totals(3)},
    holds={"h1": Hold("base", LATER, (("base.never", 3),), "redemption")},
    redemptions={"h0": Redemption("mug", 1, (Parcel("base.never", "base", 0, 1),))},
    redeemed={"mug": Redeemed(1, (("h0", 2, 1),))},
    sent={"t1": Sent("M2", LATER, ())},
    vesting={"base.never~vest-1.0": Vesting("loyal", 1, (Instalment(LATER + 1, 2),))},
    requests={"r1": TERMS},
    recent=((1, 2),),
    contact_changed=40,
    pool={"M3": PoolMember("owner")},
)
POSTINGS = (
    *between("issuance", "member", "base", "base.never", 10),
    *between("issuance", "pending", "base", "base.never~vest-1.0", 20),
    *between("issuance", "held", "base", "base.never", 30),
)


def test_an_entry_has_each_option_in_the_field_of_that_name() -> None:
    course = Course("M1", Account())
    course.post("return", "k", 5, POSTINGS, seq=7, activity_id="act_7", **OPTIONS)  # type: ignore[arg-type]
    entry = course.steps[0].fact
    assert isinstance(entry, PointsPosted)
    assert msgspec.structs.asdict(entry) == {
        "entry_id": "M1-7",
        "member_id": "M1",
        "kind": "return",
        "activity_id": "act_7",
        "reward_seq": 7,
        "postings": POSTINGS,
        "balances": {"base": 10},
        "pending": {"base": 20},
        "held": {"base": 30},
        **OPTIONS,
    }


def test_an_entry_leaves_the_rest_of_an_account_as_it_was() -> None:
    balances, pending, held = {"base": 11}, {"base": 22}, {"base": 33}
    entry = PointsPosted(
        "M1-4", "M1", "earn", "act_4", 4, POSTINGS, balances, pending=pending, held=held
    )
    assert apply(ACCOUNT, entry, 60) == msgspec.structs.replace(
        ACCOUNT,
        absorbed=4,
        facts=5,
        at=60,
        due=LATER,
        balances=balances,
        pending=pending,
        held=held,
        lots={
            "base.never": Lot("base", left=11, held=30, credited=40),
            "base.never~vest-1.0": Lot("base", left=22, credited=20),
        },
        totals={"base": Totals(63)},
    )


def test_an_account_goes_back_neither_in_time_nor_in_decisions() -> None:
    entry = PointsPosted("M1-2", "M1", "earn", "act_2", 2, POSTINGS, {"base": 11})
    after = apply(ACCOUNT, entry, 20)
    assert (after.absorbed, after.at) == (3, 50)
