"""The ledger as a child would keep it: packets of points in a list, none ever merged.

It shares no code with the ledger. A packet is free, waits for something, or is held; what expired
is a tally by the lot that it was in. Horizons are short of the time an expired lot is remembered.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
FAR = 2**80


class Refused(Exception):
    """The rules say no."""


@dataclass(slots=True)
class Packet:
    wallet: str
    lot: str
    n: int
    expires: int = 0
    opens: int = 0
    waits: str = ""
    hold: str = ""


@dataclass(slots=True)
class Vest:
    wallet: str
    waits: str
    plan: list[tuple[int, int]]
    began: int
    purchases: int = 0
    activities: int = 0

    def copy(self) -> "Vest":
        return Vest(self.wallet, self.waits, self.plan, self.began, self.purchases, self.activities)


@dataclass(slots=True)
class Seat:
    """A place in a pool."""

    role: str
    contributed: int = 0
    joined: bool = False


@cache
def day_of(at: int) -> date:
    return datetime.fromtimestamp(at // 10**6, UTC).astimezone(ZONE).date()


@cache
def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * 10**6


@cache
def in_months(day: date, months: int) -> date:
    first = day.replace(day=1)
    for _ in range(months):
        first = (first + timedelta(days=31)).replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(day.day, last.day))


@cache
def period_end(day: date, months: int) -> date:
    while (day + timedelta(days=1)).day != 1 or day.month % months:
        day += timedelta(days=1)
    return day


@cache
def next_of(day: date, ends: tuple[tuple[int, int], ...]) -> date:
    while (day.month, day.day) not in ends:
        day += timedelta(days=1)
    return day


def packets(
    campaign: str, wallet: str, n: int, at: int, about: str, name: str
) -> tuple[Packet, Vest | None]:
    """What a campaign's points go into."""
    day = day_of(at)
    if wallet != "base" or campaign == "plain":
        return Packet(wallet, "never", n), None
    if campaign == "slide":
        return Packet(wallet, "sliding", n, midnight(day + timedelta(days=61))), None
    if campaign == "month":
        return _until(wallet, period_end(in_months(day, 1), 1), n), None
    if campaign == "later":
        packet = _until(wallet, period_end(in_months(day, 3), 3), n)
        opens = day + timedelta(days=14)
        packet.opens, packet.waits = midnight(opens), opens.isoformat()
        return packet, None
    if campaign == "await":
        packet = _until(wallet, next_of(day + timedelta(days=20), ((6, 30), (12, 31))), n)
        packet.opens, packet.waits = midnight(day + timedelta(days=30)), f"delivered {about}"
        return packet, None
    packet = _until(wallet, period_end(in_months(day, 2), 1), n)
    packet.waits = f"vest {name}"
    parts = [n // 3 + (place < n % 3) for place in range(3)]
    plan = [(midnight(in_months(day, place + 1)), part) for place, part in enumerate(parts)]
    return packet, Vest(wallet, packet.waits, plan, at)


def _until(wallet: str, last: date, n: int) -> Packet:
    return Packet(wallet, last.isoformat(), n, midnight(last + timedelta(days=1)))


@dataclass
class Purse:
    """One owner's points."""

    packets: list[Packet] = field(default_factory=list)
    gone: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sliding_until: dict[str, int] = field(default_factory=dict)
    debt: Counter[str] = field(default_factory=Counter)
    expired: Counter[str] = field(default_factory=Counter)
    holds: dict[str, tuple[int, str | None, int]] = field(default_factory=dict)
    paid: dict[str, tuple[str, int, list[Packet]]] = field(default_factory=dict)
    taken: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    vests: list[Vest] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    requests: dict[str, tuple[int, str]] = field(default_factory=dict)
    pool: dict[str, Seat] = field(default_factory=dict)
    clock: int = 0
    endless: bool = False

    def copy(self) -> "Purse":
        fresh = [
            Packet(p.wallet, p.lot, p.n, p.expires, p.opens, p.waits, p.hold) for p in self.packets
        ]
        return Purse(
            fresh,
            Counter(self.gone),
            dict(self.sliding_until),
            Counter(self.debt),
            Counter(self.expired),
            dict(self.holds),
            dict(self.paid),
            dict(self.taken),
            [v.copy() for v in self.vests],
            set(self.sent),
            dict(self.requests),
            {who: Seat(s.role, s.contributed, s.joined) for who, s in self.pool.items()},
            self.clock,
            self.endless,
        )

    # what can be seen

    def balance(self, wallet: str) -> int:
        return sum(p.n for p in self.free(wallet)) - self.debt[wallet]

    def free(self, wallet: str) -> list[Packet]:
        return [p for p in self.packets if p.wallet == wallet and not p.waits and not p.hold]

    def due(self) -> int:
        """The next moment that changes something by itself."""
        moments = [until for until, _, _ in self.holds.values()]
        moments += [vest.plan[0][0] for vest in self.vests]
        for packet in self.packets:
            if not packet.hold:
                moments += [t for t in (packet.opens, packet.expires) if t]
        return min(moments, default=0)

    # time

    def settle(self, now: int) -> None:
        while 0 < (due := self.due()) <= now:
            self._open(due)
            self._vest(due)
            for hold, (until, _, _) in list(self.holds.items()):
                if until <= due:
                    self.release(hold, due)
            for packet in self.packets:
                if not packet.hold and 0 < packet.expires <= due:
                    self._lose(packet)
            self.tidy(due)

    def tidy(self, at: int) -> None:
        self.clock = max(self.clock, at)
        self.packets = [p for p in self.packets if p.n]
        waiting = {p.waits for p in self.packets}
        self.vests = [v for v in self.vests if v.waits in waiting and v.plan]
        for wallet in list(self.sliding_until):
            used = any(p.wallet == wallet and p.lot == "sliding" for p in self.packets)
            if not used and not self.gone[wallet, "sliding", ""]:
                del self.sliding_until[wallet]

    def _lose(self, packet: Packet) -> None:
        self.gone[packet.wallet, packet.lot, packet.waits] += packet.n
        self.expired[packet.wallet] += packet.n
        packet.n = 0

    def _open(self, now: int) -> None:
        ready = [p for p in self.packets if p.waits and 0 < p.opens <= now]
        self.unlock(ready)

    def unlock(self, ready: list[Packet]) -> None:
        """Waiting packets can be spent; lot by lot, in the order the lots were begun."""
        for lot, waits in dict.fromkeys((p.lot, p.waits) for p in ready):
            for packet in [p for p in ready if (p.lot, p.waits) == (lot, waits)]:
                packet.opens, packet.waits = 0, ""
                self._fill(packet)

    def _vest(self, now: int) -> None:
        for vest in self.vests:
            if vest.plan[0][0] > now:
                continue
            packet = next(p for p in self.packets if p.waits == vest.waits)
            if vest.purchases < 1 and vest.activities < 2:
                self._lose(packet)
                vest.plan = []
                continue
            (due, part), *rest = vest.plan
            part = packet.n if not rest else min(part, packet.n)
            packet.n -= part
            vest.plan, vest.began, vest.purchases, vest.activities = rest, due, 0, 0
            self.put(Packet(packet.wallet, packet.lot, part, packet.expires))
        self.tidy(now)

    # points come and go

    def _fill(self, packet: Packet) -> None:
        part = min(self.debt[packet.wallet], packet.n)
        self.debt[packet.wallet] -= part
        packet.n -= part

    def put(self, packet: Packet, *, fill: bool = True) -> None:
        """Add a packet. All that slides, slides together."""
        self.packets.append(packet)
        self.endless = self.endless or packet.lot == "never"
        if packet.lot == "sliding":
            self.slide(packet.wallet, packet.expires)
        if fill and not packet.waits:
            self._fill(packet)

    def slide(self, wallet: str, until: int) -> None:
        until = max(until, self.sliding_until.get(wallet, 0))
        self.sliding_until[wallet] = until
        for packet in self.packets:
            if packet.wallet == wallet and packet.lot == "sliding":
                packet.expires = until

    def come_back(self, back: Iterable[Packet], now: int) -> None:
        """Points come back, or arrive; the expired ones expired."""
        back = list(back)
        for packet in back:
            packet.hold = ""
            if packet.lot == "sliding":
                packet.expires = max(packet.expires, self.sliding_until.get(packet.wallet, 0))
            if 0 < packet.expires <= now:
                self._lose(packet)
                packet.hold = "lost"
        for packet in back:
            if packet.hold:
                if packet.lot == "sliding":
                    self.slide(packet.wallet, packet.expires)
            else:
                self.put(packet)

    def spend(self, wallet: str, n: int) -> list[Packet]:
        """Take from what expires first."""
        if n < 1 or n > self.balance(wallet):
            raise Refused("insufficient")
        taken = []
        for packet in sorted(self.free(wallet), key=lambda p: (p.expires or FAR, p.lot)):
            part = min(n, packet.n)
            if part:
                packet.n -= part
                n -= part
                taken.append(Packet(wallet, packet.lot, part, packet.expires))
        return taken

    def count(self, at: int, purchases: int, activities: int) -> None:
        for vest in self.vests:
            if vest.began <= at < vest.plan[0][0]:
                vest.purchases += purchases
                vest.activities += activities

    def release(self, hold: str, now: int, points: int = 0) -> list[Packet]:
        """End a hold: ``points`` of it are paid, the rest comes back."""
        held = [p for p in self.packets if p.hold == hold]
        self.packets = [p for p in self.packets if p.hold != hold]
        paid = []
        for packet in held:
            part = min(points, packet.n)
            if part:
                points -= part
                packet.n -= part
                paid.append(Packet(packet.wallet, packet.lot, part, packet.expires))
        self.come_back([p for p in held if p.n], now)
        del self.holds[hold]
        if not paid:
            self.taken.pop(hold, None)
        return paid

    def take_back(self, share: tuple[str, str, str], n: int, returns: str) -> int:
        """Take back ``n`` points that went into one lot; return what could not be taken."""
        wallet, lot, waits = share

        def take(packets: Iterable[Packet]) -> None:
            nonlocal n
            for packet in packets:
                part = min(n, packet.n)
                packet.n -= part
                n -= part

        def forget(key: tuple[str, str, str]) -> None:
            nonlocal n
            part = min(n, self.gone[key])
            self.gone[key] -= part
            self.expired[wallet] -= part
            n -= part

        waiting = [p for p in self.packets if (p.wallet, p.lot, p.waits) == share]
        take(waiting if waits else ())
        if returns == "only_pending":
            return n
        if waits:
            forget(share)
        forget((wallet, lot, ""))
        free = self.free(wallet)
        take(p for p in free if p.lot == lot)
        take(sorted(free, key=lambda p: (p.expires or FAR, p.lot)))
        if returns == "unlimited":
            self.debt[wallet] += n
            n = 0
        return n
