"""Evidence: what is known of a member, and until when each piece of it holds.

Evidence is a closed form: without new activities a piece holds until a certain instant and not
after it. So the future can be read off, and the order of arrival does not matter.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from services.members.domain.rules import Rhythm, Rules
from services.members.domain.state import NEVER, Activity, Known, Returned, Review

# The gaps that make a member's usual interval lie between this many purchases, the last left out.
USUAL_PURCHASES = 12


class Holds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last instants at which evidence holds (``NEVER`` when it does not), or whether it does.

    ``interval`` is the member's expected interval between purchases.
    """

    contact: int
    repeat: int
    sustained: int
    advocacy: int
    kept_purchase: bool
    content: bool
    interval: int


def taken_in(known: Known, activity: Activity, at: int, seq: int, rules: Rules) -> Known:
    """What is known after an activity. Any order of arrival leads to the same."""
    kind = activity.type
    if kind == "purchase":
        return _bought(known, at, seq, rules.recent_purchases)
    if kind == "return":
        return _given_back(known, activity.returned)
    if kind in rules.contact_activities and at > known.contact_at:
        known = replace(known, contact_at=at)
    if kind in rules.advocacy_activities and at > known.share_at:
        known = replace(known, share_at=at)
    if kind == "review" and activity.rating is not None:
        review = Review(at, activity.activity_id, activity.rating)
        if known.review is None or review > known.review:
            known = replace(known, review=review)
    return known


def _bought(known: Known, at: int, seq: int, most: int) -> Known:
    times, seqs = known.times, known.seqs
    if not times or times[-1] <= at:  # in order, as nearly always
        times, seqs = (*times, at), (*seqs, seq)
    else:
        place = bisect_right(times, at)
        times = (*times[:place], at, *times[place:])
        seqs = (*seqs[:place], seq, *seqs[place:])
    if len(times) > most:
        times, seqs = times[1:], seqs[1:]
    first = at if known.first_kept == NEVER else min(known.first_kept, at)
    return Known(known.contact_at, known.share_at, known.review, known.kept + 1, first, times, seqs)


def _given_back(known: Known, returned: Returned | None) -> Known:
    """A purchase returned in full has never been; it may be older than the recent ones."""
    if returned is None or not returned.full:
        return known
    times, seqs, kept, first = known.times, known.seqs, known.kept - 1, known.first_kept
    if returned.seq in seqs:
        place = seqs.index(returned.seq)
        times = times[:place] + times[place + 1 :]
        seqs = seqs[:place] + seqs[place + 1 :]
    if kept == len(times) or first == returned.occurred_at:
        first = times[0] if times else NEVER
    return replace(known, kept=kept, first_kept=first, times=times, seqs=seqs)


def holding(known: Known, rules: Rules) -> Holds:
    """Until when each piece of evidence holds."""
    times = known.times
    last = times[-1] if times else NEVER
    contact = max(known.contact_at, last)
    interval = expected_interval(times, rules.rhythm)
    enough = rules.sustained_purchases
    repeats = len(times) > 1 and last - times[-2] <= interval
    review = known.review
    return Holds(
        contact + rules.contact_within if contact != NEVER else NEVER,
        last + interval if repeats else NEVER,
        times[-enough] + rules.sustained_within if len(times) >= enough else NEVER,
        known.share_at + rules.advocacy_within if known.share_at != NEVER else NEVER,
        known.kept > 0,
        review is None or review.rating >= rules.minimum_rating,
        interval,
    )


def expected_interval(times: Sequence[int], rhythm: Rhythm) -> int:
    """How long until the next purchase at the latest, going by the gaps before the last one."""
    earlier = min(len(times) - 1, USUAL_PURCHASES)
    gaps = earlier - 1
    if gaps < 2:
        return rhythm.default
    span = times[-2] - times[-1 - earlier]
    numerator, denominator = rhythm.factor
    usual = span * numerator // (gaps * denominator)
    return max(rhythm.minimum, min(rhythm.maximum, usual))


def bits(holds: Holds, at: int) -> int:
    """The evidence at an instant, as the index of a ladder; there are no complaints so far."""
    return (
        (at <= holds.contact)
        | holds.kept_purchase << 1
        | (at <= holds.repeat) << 2
        | holds.content << 3
        | (at <= holds.sustained) << 5
        | (at <= holds.advocacy) << 6
    )


def turning_points(holds: Holds, after: int) -> list[int]:
    """The instants after ``after`` at which a piece of evidence ceases to hold."""
    ends = (holds.contact, holds.repeat, holds.sustained, holds.advocacy)
    return [end + 1 for end in ends if end >= after]
