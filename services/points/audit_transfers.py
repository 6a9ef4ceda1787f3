"""What an auditor asks of transfers: is what was sent on its way, with the receiver, or back?

A transfer stands in two accounts, each of which adds up by itself whatever stands in the other.
Points that arrive twice, or arrive and also come back, or that both sides have forgotten, show only
when the two are laid side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.points import AccountMarked, PointsPosted
from services.points.domain.account import Account

_SIGNS = {"transfer_out": 1, "transfer_in": -1, "transfer_back": -1}


@dataclass
class Transfers:
    """Transfers by id: points on their way, those that senders wait for, those that were refused.

    Streams come in any order: what arrives may be seen before it was sent.
    """

    net: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def take(self, body: PointsPosted | AccountMarked) -> None:
        """Take in a fact of either side."""
        if isinstance(body, AccountMarked):
            if body.kind == "transfer_declined":
                self.refused.add(body.mark_id)
            return
        if body.transfer is None:
            return
        id_, points = body.transfer.transfer_id, sum(p.points for p in body.transfer.parcels)
        net = self.net.pop(id_, 0) + _SIGNS.get(body.kind, 0) * points
        if net:
            self.net[id_] = net

    def close(self, state: Account) -> None:
        """Take in what an account says at its end."""
        self.open.update(state.sent)

    def findings(self) -> Iterator[str]:
        """What does not hold."""
        for id_, points in self.net.items():
            if points < 0:
                yield f"transfer {id_}: {-points} points arrived or came back that nobody sent"
            elif id_ not in self.open:
                yield f"transfer {id_}: {points} points are on their way, and nobody knows"

    def unsettled(self) -> Iterator[str]:
        """What the receiver has decided, and the sender's account does not say yet."""
        for id_ in sorted(self.open):
            if id_ in self.refused or id_ not in self.net:
                yield f"transfer {id_}: not settled, its sender's account is to follow"
