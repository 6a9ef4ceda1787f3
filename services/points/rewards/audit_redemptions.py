"""Do the ledger and the stock tell the same of redemptions? And is the list of them whole?"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from contracts.catalogue import StockGivenBack, StockSettled
from contracts.envelope import Fact
from contracts.points import PointsPosted
from services.points.commands import body_of
from services.points.rewards.audit import FORGOTTEN_AFTER
from services.points.rewards.duties import every_reward
from services.points.rewards.redemptions import REDEMPTIONS, Redemptions, find, moved
from services.points.rewards.stock import Shelf
from services.points.rewards.writing_down import is_write_down

MODULUS = 1 << 128
PAGE = 500
_closings: Mapping[str, msgspec.json.Decoder[StockSettled] | msgspec.json.Decoder[StockGivenBack]]
_closings = {
    "StockSettled": msgspec.json.Decoder(StockSettled),
    "StockGivenBack": msgspec.json.Decoder(StockGivenBack),
}


@dataclass
class _Tally:
    """Redemptions that count, by reward: how many items, and a sum of hashes that says which."""

    items: dict[str, int] = field(default_factory=dict)
    which: dict[str, int] = field(default_factory=dict)

    def add(self, reward_id: str, redemption_id: str, quantity: int) -> None:
        """Take ``quantity`` in, or out again when it is negative. Parts may come one by one."""
        hashed = int.from_bytes(blake2b(redemption_id.encode(), digest_size=16).digest())
        self.items[reward_id] = self.items.get(reward_id, 0) + quantity
        self.which[reward_id] = (self.which.get(reward_id, 0) + hashed * quantity) % MODULUS


async def findings(redemptions: Redemptions) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: what the ledger says was redeemed of each limited reward, and not cancelled, is what
    its stock says was settled (or is about to be), redemption by redemption; every redemption
    stands in the list of its member.
    """
    paid, given = _Tally(), _Tally()
    found = [line async for line in _ledger(redemptions, paid)]
    await _stock(redemptions, given)
    async for rewards in every_reward(redemptions.rewards.catalogue):
        for reward_id, reward in rewards.items():
            if reward.defined is not None and reward.defined.slices:
                await _on_their_way(redemptions, Shelf(reward_id, reward.defined.slices), given)
                found += _difference(reward_id, paid, given)
    return found


def _difference(reward_id: str, paid: _Tally, given: _Tally) -> list[str]:
    bought, gone = paid.items.get(reward_id, 0), given.items.get(reward_id, 0)
    if bought != gone:
        return [f"reward {reward_id}: the ledger paid for {bought}, the stock gave {gone}"]
    if paid.which.get(reward_id, 0) != given.which.get(reward_id, 0):
        return [f"reward {reward_id}: the ledger paid for others than the stock gave to"]
    return []


async def _ledger(redemptions: Redemptions, paid: _Tally) -> AsyncIterator[str]:
    """Add up what was paid for, and yield who is missing in the list."""
    began: list[Fact] = []
    async for facts in redemptions.ledger.journal.scan():
        for fact in facts:
            if (each := moved(fact)) is None:
                continue
            entry: PointsPosted = body_of(fact)
            assert entry.hold is not None
            if each.kind in ("capture", "cancel"):
                sign = 1 if each.kind == "capture" else -1
                paid.add(each.reward_id, each.redemption_id, sign * entry.hold.quantity)
            elif each.kind == "hold" and fact.posted_at + FORGOTTEN_AFTER < redemptions.clock():
                began.append(fact)
        if len(began) >= PAGE:
            for line in await _unlisted(redemptions, began):
                yield line
            began = []
    for line in await _unlisted(redemptions, began):
        yield line


async def _unlisted(redemptions: Redemptions, began: list[Fact]) -> list[str]:
    expected = {m.redemption_id: m.member_id for fact in began if (m := moved(fact)) is not None}
    listed = await redemptions.rewards.views.load(REDEMPTIONS, list(expected))
    return [
        f"redemption {redemption_id}: it is not in the list of {member_id}"
        for redemption_id, member_id in expected.items()
        if redemption_id not in listed or listed[redemption_id].index["member_id"] != member_id
    ]


async def _stock(redemptions: Redemptions, given: _Tally) -> None:
    """Add up what was settled. What goes back without having been settled never counted."""
    settled: set[str] = set()
    stream = ""
    async for facts in redemptions.rewards.journal.scan():
        for fact in facts:
            if fact.stream != stream:
                stream, settled = fact.stream, set()
            if (decoder := _closings.get(fact.type)) is None:
                continue
            body = decoder.decode(fact.body)
            if isinstance(body, StockSettled):
                settled.add(body.redemption_id)
                given.add(body.reward_id, body.redemption_id, body.quantity)
            elif body.redemption_id in settled:
                given.add(body.reward_id, body.redemption_id, -body.quantity)


async def _on_their_way(redemptions: Redemptions, shelf: Shelf, given: _Tally) -> None:
    """Takes that are open although their redemption is confirmed will be settled."""
    heads = await redemptions.rewards.shop.streams.heads(shelf.owners, fresh=True)
    for head in heads.values():
        for redemption_id, take in head.state.open.items():
            if is_write_down(redemption_id):
                continue
            known = await find(redemptions, take.member_id, redemption_id)
            if known is None or known.reward_id != shelf.reward_id:
                continue
            if known.status in ("confirmed", "fulfilled"):
                given.add(shelf.reward_id, redemption_id, take.quantity)
