"""The topics: who owns them, what they carry, how they are keyed and kept.

Every topic is keyed by member id and has the same number of partitions, so that one member's facts
keep their order on each; a topic that is keyed otherwise says by what.
"""

from dataclasses import dataclass

from contracts import catalogue, events, members, points, seals, vouchers

PARTITIONS = 24
DEAD_LETTER_SUFFIX = ".dead"


@dataclass(frozen=True)
class Topic:
    """One topic. ``stream_kinds`` are the streams the relay publishes on it."""

    name: str
    owner: str
    carries: tuple[type, ...]
    stream_kinds: tuple[str, ...]
    compacted: bool = False
    partitions: int = PARTITIONS
    key: str = "member id"

    @property
    def dead(self) -> str:
        """The topic that takes what could not be handled."""
        return self.name + DEAD_LETTER_SUFFIX


ACTIVITIES = Topic(
    name="events.activities.v1",
    owner="events",
    carries=(events.ActivityRecorded, events.ReturnMatched),
    stream_kinds=("activity",),
)
REWARDS = Topic(
    name="events.rewards.v1",
    owner="events",
    carries=(events.RewardGranted, events.RewardWithheld, events.RewardReturned),
    stream_kinds=("decision",),
)
ENTRIES = Topic(
    name="points.entries.v1",
    owner="points",
    carries=(points.PointsPosted, points.AccountMarked),
    stream_kinds=("account",),
)
VOUCHERS = Topic(
    name="points.vouchers.v1",
    owner="points",
    carries=(
        vouchers.VoucherSeriesDefined,
        vouchers.VoucherCodeImported,
        vouchers.VoucherIssued,
        vouchers.VoucherRedeemed,
        vouchers.VoucherRedemptionUndone,
        vouchers.VoucherCancelled,
        vouchers.VoucherExpired,
    ),
    stream_kinds=("voucher_series", "voucher"),
    key="voucher id, or series id",
)
SEALS = Topic(
    name="points.seals.v1",
    owner="points",
    carries=(seals.LedgerSealed,),
    stream_kinds=("seal",),
    key="partition of the entries topic",
)
CATALOGUE = Topic(
    name="points.catalogue.v1",
    owner="points",
    carries=(
        catalogue.RewardDefined,
        catalogue.RewardRetired,
        catalogue.StockAdded,
        catalogue.StockSought,
        catalogue.StockTaken,
        catalogue.StockSettled,
        catalogue.StockGivenBack,
        catalogue.StockWrittenDown,
    ),
    stream_kinds=("reward", "stock"),
    key="reward id, or slice of its stock",
)
MEMBER_FACTS = Topic(
    name="members.facts.v1",
    owner="members",
    carries=(
        members.MemberEnrolled,
        members.MemberFileChanged,
        members.TierChanged,
        members.StageChanged,
    ),
    stream_kinds=("member", "relationship"),
)
CARDS = Topic(
    name="members.cards.v1",
    owner="members",
    carries=(members.MemberCard,),
    stream_kinds=("card",),
    compacted=True,
)
ALL_TOPICS = (ACTIVITIES, REWARDS, ENTRIES, VOUCHERS, SEALS, MEMBER_FACTS, CARDS, CATALOGUE)
FACT_TYPES: dict[str, type] = {t.__name__: t for topic in ALL_TOPICS for t in topic.carries}
