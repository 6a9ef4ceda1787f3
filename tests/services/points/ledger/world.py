"""What the model does with all that is asked of an account; Refused when the rules say no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.services.points.ledger.model import (
    Packet,
    Purse,
    Refused,
    Seat,
    day_of,
    midnight,
    packets,
)

Share = tuple[str, str, str]


@dataclass
class Flight:
    """Points on their way. ``accepted`` is None until the receiver has decided."""

    sender: str
    to: str
    parcels: list[Packet]
    until: int
    at_once: bool
    accepted: bool | None = None
    ended: bool = False

    @property
    def points(self) -> int:
        return sum(p.n for p in self.parcels)

    @property
    def on_its_way(self) -> bool:
        """Left the sender, and neither arrived nor came back."""
        return not self.ended and not self.accepted


@dataclass
class World:
    """All purses, and what is on its way between them."""

    returns: str
    purses: dict[str, Purse] = field(default_factory=dict)
    flights: dict[str, Flight] = field(default_factory=dict)

    def purse(self, owner: str) -> Purse:
        return self.purses.setdefault(owner, Purse())

    def attempt(self, owner: str, at: int, act: Callable[[Purse, int], int | None]) -> None:
        """Let time pass and act; a refusal leaves all as it was.

        ``act`` returns when its fact happened, None when it made none.
        """
        purse = self.purse(owner)
        now = max(at, purse.clock)
        before = None
        if 0 < purse.due() <= now:
            before = purse.copy()
            purse.settle(now)
        try:
            happened = act(purse, now)
        except Refused:
            if before is not None:
                self.purses[owner] = before
            raise
        if happened is not None:
            purse.tidy(happened)
            purse.settle(purse.clock)

    def pass_time(self, owner: str, to: int) -> None:
        self.attempt(owner, to, lambda purse, now: None)

    # activities

    def earn(
        self,
        owner: str,
        at: int,
        kind: str,
        about: str | None,
        activity: str,
        name: str,
        grants: Sequence[tuple[str, str, int]],
    ) -> list[Share]:
        """Returns where each grant went."""
        made = [
            packets(campaign, wallet, n, at, activity, f"{name}.{place}")
            for place, (campaign, wallet, n) in enumerate(grants)
        ]
        shares = [(packet.wallet, packet.lot, packet.waits) for packet, _ in made]

        def act(purse: Purse, now: int) -> int | None:
            moved = self._noticed(purse, at, kind, about)
            moved = bool(purse.vests) or moved
            purse.count(at, kind == "purchase", 1)
            for packet, vest in made:
                if packet.n:
                    moved = True
                    purse.put(packet)
                    purse.vests += [vest] if vest else []
            return at if moved else None

        self.attempt(owner, at, act)
        return shares

    def _noticed(self, purse: Purse, at: int, kind: str, about: str | None) -> bool:
        """An activity opens what waited for it, and keeps alive what slides with it."""
        ready = [p for p in purse.packets if about and p.waits == f"{kind} {about}"]
        purse.unlock(ready)
        moved = bool(ready)
        until = midnight(day_of(at) + timedelta(days=61))
        for wallet in [w for w, old in purse.sliding_until.items() if at < old < until]:
            used = any(p.wallet == wallet and p.lot == "sliding" for p in purse.packets)
            if kind == "visit" and used:
                purse.slide(wallet, until)
                moved = True
        return moved

    def give_back(
        self, owner: str, at: int, bought_at: int, full: bool, parts: Sequence[tuple[Share, int]]
    ) -> None:
        sums: dict[Share, int] = {}
        for share, n in parts:
            sums[share] = sums.get(share, 0) + n

        def act(purse: Purse, now: int) -> int | None:
            seen = bool(purse.vests) or any(sums.values())
            for share, n in sums.items():
                purse.take_back(share, n, self.returns)
            purse.count(bought_at, -1 if full else 0, 0)
            return at if seen else None

        self.attempt(owner, at, act)

    # holds

    def hold(
        self,
        owner: str,
        hold: str,
        n: int,
        at: int,
        until: int,
        by: str,
        reward: str | None,
        limits: tuple[int, int, int],
    ) -> None:
        most, per_period, period = limits

        def act(purse: Purse, now: int) -> int:
            self._require_spender(purse, owner, by)
            if n < 1 or n > purse.balance("base"):
                raise Refused("insufficient")
            if reward:
                mine = [t for name, t, _ in purse.taken.values() if name == reward]
                if len(mine) >= most or sum(now - t < period for t in mine) >= per_period:
                    raise Refused("limit")
                purse.taken[hold] = (reward, now, 1)
            for packet in purse.spend("base", n):
                packet.hold = hold
                purse.packets.append(packet)
            purse.holds[hold] = (until + now - at, reward, 1)
            return now

        self.attempt(owner, at, act)

    def _require_spender(self, purse: Purse, owner: str, by: str) -> None:
        if owner.startswith("@"):
            known = purse.pool.get(by)
            if not known or not known.joined or known.role == "contributor":
                raise Refused("role")

    def end_hold(self, owner: str, hold: str, at: int, points: int | None) -> None:
        """Capture ``points``; None is a release, and -1 captures all."""

        def act(purse: Purse, now: int) -> int:
            if hold not in purse.holds:
                raise Refused("unknown")
            there = sum(p.n for p in purse.packets if p.hold == hold)
            wanted = {None: 0, -1: there}.get(points, points)
            if wanted is None or wanted > there or (points is not None and wanted < 1):
                raise Refused("bounds")
            _, reward, quantity = purse.holds[hold]
            paid = purse.release(hold, now, wanted)
            if reward and paid:
                purse.paid[hold] = (reward, quantity, paid)
            return now

        self.attempt(owner, at, act)

    def end_redemption(self, owner: str, hold: str, at: int, cancel: bool) -> None:
        def act(purse: Purse, now: int) -> int:
            if hold not in purse.paid:
                raise Refused("unknown")
            _, _, paid = purse.paid.pop(hold)
            if cancel:
                purse.taken.pop(hold, None)
                purse.come_back([replace(p) for p in paid], now)
            return now

        self.attempt(owner, at, act)

    # transfers

    def send(self, owner: str, name: str, flight: Flight, n: int, at: int, by: str) -> None:
        def act(purse: Purse, now: int) -> int:
            if flight.to == owner:
                raise Refused("oneself")
            self._require_spender(purse, owner, by)
            flight.parcels = purse.spend("base", n)
            flight.until += now - at
            purse.sent.add(name)
            self.flights[name] = flight
            return now

        self.attempt(owner, at, act)

    def receive(self, name: str, at: int) -> None:
        flight = self.flights[name]

        def act(purse: Purse, now: int) -> int:
            known = purse.pool.get(flight.sender)
            outside = flight.to.startswith("@") and (not known or not known.joined)
            late = not flight.at_once and flight.until <= now
            flight.accepted = not (outside or late)
            if flight.accepted:
                lost = purse.expired["base"]
                purse.come_back([replace(p) for p in flight.parcels], now)
                if known:
                    alive = flight.points - (purse.expired["base"] - lost)
                    known.contributed += alive
            return now

        self.attempt(flight.to, at, act)

    def decline(self, name: str, at: int) -> None:
        def act(purse: Purse, now: int) -> int:
            self.flights[name].accepted = False
            return now

        self.attempt(self.flights[name].to, at, act)

    def end_flight(self, name: str, at: int) -> None:
        flight = self.flights[name]

        def act(purse: Purse, now: int) -> int | None:
            if name not in purse.sent:
                return None
            purse.sent.remove(name)
            flight.ended = True
            if not flight.accepted:
                purse.come_back([replace(p) for p in flight.parcels], now)
            return now

        self.attempt(flight.sender, at, act)

    # corrections

    def adjust(self, owner: str, request: str, n: int, at: int, by: str, alone: int) -> None:
        def act(purse: Purse, now: int) -> int:
            if not n:
                raise Refused("nothing")
            if abs(n) > alone:
                purse.requests[request] = (n, by)
            else:
                self._correct(purse, n, at, now)
            return now

        self.attempt(owner, at, act)

    def approve(self, owner: str, request: str, at: int, by: str, agreed: bool) -> None:
        def act(purse: Purse, now: int) -> int:
            if request not in purse.requests:
                raise Refused("unknown")
            n, asked = purse.requests[request]
            if agreed and asked == by:
                raise Refused("same person")
            if agreed:
                self._correct(purse, n, at, now)
            del purse.requests[request]
            return now

        self.attempt(owner, at, act)

    def _correct(self, purse: Purse, n: int, at: int, now: int) -> None:
        if n < 0:
            purse.spend("base", -n)
        else:
            purse.come_back([packets("month", "base", n, at, "", "")[0]], now)

    # pools

    def found(self, pool: str, member: str, at: int) -> None:
        def act(purse: Purse, now: int) -> int:
            if purse.pool or purse.packets or purse.endless or any(purse.gone.values()):
                raise Refused("founded")
            purse.pool[member] = Seat("owner", 0, True)
            return now

        self.attempt(pool, at, act)

    def invite(self, pool: str, member: str, by: str, role: str, at: int) -> None:
        def act(purse: Purse, now: int) -> int:
            asker, known = purse.pool.get(by), purse.pool.get(member)
            if not asker or asker.role != "owner" or (known and known.joined):
                raise Refused("invitation")
            purse.pool[member] = Seat(role)
            return now

        self.attempt(pool, at, act)

    def join(self, pool: str, member: str, at: int) -> None:
        def act(purse: Purse, now: int) -> int:
            if member not in purse.pool or all(s.role != "owner" for s in purse.pool.values()):
                raise Refused("invitation")
            purse.pool[member].joined = True
            return now

        self.attempt(pool, at, act)

    def leave(self, pool: str, member: str, name: str, at: int) -> None:
        """The last one takes all; others take of each lot what they put in of what was put in."""

        def act(purse: Purse, now: int) -> int:
            if member not in purse.pool:
                raise Refused("unknown")
            seat = purse.pool[member]
            last = seat.joined and sum(each.joined for each in purse.pool.values()) == 1
            away = [self.flights[each] for each in purse.sent]
            if seat.role == "owner" and not last:
                raise Refused("owner leaves last")
            if last and (purse.holds or any(f.to == pool or not f.at_once for f in away)):
                raise Refused("busy")
            everything = sum(each.contributed for each in purse.pool.values())
            part = (1, 1) if last else (seat.contributed, everything)
            if parcels := self._share(purse, *part):
                self.flights[name] = Flight(pool, member, parcels, 0, at_once=True)
                purse.sent.add(name)
            del purse.pool[member]
            return now

        self.attempt(pool, at, act)

    def _share(self, purse: Purse, mine: int, everything: int) -> list[Packet]:
        lots: dict[tuple[int, str], int] = {}
        for packet in purse.free("base"):
            key = (packet.expires, packet.lot)
            lots[key] = lots.get(key, 0) + packet.n
        parcels = []
        for (expires, lot), n in lots.items():
            part = n * mine // everything if everything else 0
            left = part
            for packet in purse.free("base"):
                if packet.lot == lot and left:
                    taken = min(left, packet.n)
                    packet.n -= taken
                    left -= taken
            if part:
                parcels.append(Packet("base", lot, part, expires))
        return sorted(parcels, key=lambda p: (p.expires or 2**80, p.lot))


__all__ = ["Flight", "Refused", "Share", "World"]
