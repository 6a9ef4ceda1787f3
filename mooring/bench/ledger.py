"""The ledger by itself, embedded: posting, a ten-year-old account, a million expiries."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import httpx
import msgspec

import programmes
from contracts.envelope import Fact
from contracts.events import AsOf, Considered, Grant, RewardGranted
from contracts.points import LotTerms, PointsPosted
from kit.auth import LocalIssuer
from kit.clock import DAY, from_micros, system_clock
from kit.journal.port import Draft
from kit.settings import StoreSettings
from kit.views.port import Document
from mooring.bench.figures import Figure, Result, Target, percentile
from mooring.bench.raw_sqlite import raw_limit
from mooring.processes import collect_rarely
from services.points import queries
from services.points.app import create_app
from services.points.commands import post_decisions
from services.points.domain.entries import between
from services.points.policy import HOUR
from services.points.settings import ApiSettings
from services.points.views import DUE
from services.points.wiring import Wiring, wire

RAW = "raw inserts"
BATCH = 1_000
MEMBERS = 2_469
LINES = 9
LEAST_OF_RAW = 0.25
AGED_AT_MOST = 1.2
MOST_EXPIRY_SECONDS = 180.0
YEARS, READS = 10, 400
POSTINGS, FEW_POSTINGS = 60_000, 10_000
DUE_LOTS, FEW_DUE_LOTS = 1_000_000, 50_000
LOTS = """
points:
  lots:
    - wallet: base
      activation: { after_days: 14 }
      expiry: { kind: rolling, months: 24, rounded_to: month }
"""
_encoder = msgspec.json.Encoder()


@asynccontextmanager
async def _ledger(section: str = "") -> AsyncIterator[tuple[Wiring, Path]]:
    """A points service on a fresh folder, by the default programme and this section."""
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        place = Path(folder)
        default = Path(programmes.__file__).with_name("five_star.yaml").read_text("utf-8")
        programme = place / "programme.yaml"
        programme.write_text(default + section, "utf-8")
        settings = StoreSettings("sqlite", f"sqlite:{place / 'data'}")
        wiring = wire(settings, programme=programme)
        await wiring.prepare()
        try:
            yield wiring, place
        finally:
            await wiring.close()


async def measure_posting_embedded(quick: bool) -> Result:
    """Post decisions as large as the year's, in batches, in one process."""
    count = FEW_POSTINGS if quick else POSTINGS
    collect_rarely()  # as a worker's process does
    seconds = cpu = 0.0
    async with _ledger() as (wiring, place):
        for first in range(0, count, BATCH):
            batch = list(_decisions(first, BATCH))  # fresh, as a worker has polled them
            began, used = time.perf_counter(), time.process_time()
            await post_decisions(wiring.ledger, wiring.rules, batch)
            seconds += time.perf_counter() - began
            cpu += time.process_time() - used
        raw = await asyncio.to_thread(raw_limit, place / "data", place / "raw")
    figures = (
        Figure(
            "entries posted, one process",
            count / seconds,
            "1/s",
            raw.rows / raw.seconds,
            RAW,
            Target("at least", LEAST_OF_RAW),
        ),
        Figure("CPU of one entry", 1e6 * cpu / count, "µs"),
    )
    note = f"{count:,} decisions of {LINES} lines, two wallets, {MEMBERS:,} members."
    return Result("posting-embedded", figures, (note,))


def _decisions(first: int, count: int) -> Iterator[Fact]:
    for number in range(first, first + count):
        yield decision(f"M{number % MEMBERS}", number // MEMBERS + 1, system_clock())


def decision(member: str, seq: int, at: int, lines: int = LINES) -> Fact:
    """A decision that grants points for a purchase of some lines."""
    shares = tuple((number, 100 * number, number) for number in range(1, lines + 1))
    points = sum(share for _, _, share in shares)
    grants = tuple(Grant("base", wallet, points, shares) for wallet in ("base", "tier"))
    body = RewardGranted(
        f"act_{member}_{seq}",
        member,
        "bench",
        AsOf("silver", "acceptance", None, seq),
        (Considered("base", True),),
        grants,
    )
    encoded = msgspec.Raw(_encoder.encode(body))
    return Fact(f"decision:{member}", seq, f"d{seq}", "RewardGranted", at, at, encoded)


async def measure_aged(quick: bool) -> Result:
    """Ask the API about an account of ten years of daily activity and a new one, in turns."""
    days = (1 if quick else YEARS) * 365
    async with _ledger(LOTS) as (wiring, place):
        await _live("old", days, system_clock(), wiring)
        await _live("new", 10, system_clock(), wiring)
        past, later = from_micros(system_clock()).isoformat(), queries.SETTLED_AFTER + DAY
        await wiring.follower.note_due(["old", "new"])
        await wiring.duties.run(system_clock() + later + HOUR)  # as the worker does all the time
        async with _client(place, later) as client:
            figures = [
                await _compare(name, client, path, asked)
                for name, path, asked in (
                    ("balance", "", {}),
                    ("balance as of a past time", "", {"as_of": past}),
                    ("first statement page", "/statement", {"limit": "10"}),
                )
            ]
        lots = len((await wiring.ledger.heads(["old"]))["old"].state.lots)
    note = f"{days:,} days of a purchase each against 10 days; the old account has {lots} lots."
    return Result("aged-account", tuple(figures), (note,))


@asynccontextmanager
async def _client(place: Path, later: int) -> AsyncIterator[httpx.AsyncClient]:
    """The points API in this process, without a network, its clock ``later`` microseconds ahead."""
    issuer = LocalIssuer.open(place / "issuer.jwk", "http://bench", "mooring")
    settings = ApiSettings.read(
        {
            "MOORING_STORE_URL": f"sqlite:{place / 'data'}",
            "MOORING_PROGRAMME": str(place / "programme.yaml"),
            "MOORING_OIDC_ISSUER": "http://bench",
            "MOORING_DEV_ISSUER_KEY": str(place / "issuer.jwk"),
            "MOORING_LOG_LEVEL": "error",
        }
    )
    app = create_app(settings, lambda: system_clock() + later)
    headers = {"authorization": f"Bearer {issuer.token('operator')}"}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://points", headers=headers
        ) as client:
            yield client


async def _live(member: str, days: int, now: int, wiring: Wiring) -> None:
    facts = [decision(member, day + 1, now - (days - day) * DAY, lines=3) for day in range(days)]
    for start in range(0, days, 100):
        await post_decisions(wiring.ledger, wiring.rules, facts[start : start + 100])


async def _compare(
    name: str, client: httpx.AsyncClient, path: str, asked: dict[str, str]
) -> Figure:
    taken: dict[str, list[float]] = {"old": [], "new": []}
    for number in range(READS):
        for who in ("old", "new") if number % 2 else ("new", "old"):
            began = time.perf_counter()
            answer = await client.get(f"/v1/members/{who}/points{path}", params=asked)
            taken[who].append(time.perf_counter() - began)
            answer.raise_for_status()
    old, new = (1e6 * median(taken[who]) for who in ("old", "new"))
    return Figure(f"{name}, median", old, "µs", new, "new account", Target("at most", AGED_AT_MOST))


async def measure_expiry(quick: bool) -> Result:
    """Let lots of as many members expire, while decisions go on being posted."""
    count = FEW_DUE_LOTS if quick else DUE_LOTS
    async with _ledger(LOTS) as (wiring, _):
        now = system_clock()
        await _seed(wiring, count, now - DAY)
        stop = asyncio.Event()
        intake = asyncio.create_task(_intake(wiring, stop))
        began = time.perf_counter()
        moved = await wiring.duties.run(now)
        seconds = time.perf_counter() - began
        stop.set()
        latencies = await intake
    if moved != count:
        raise RuntimeError(f"{moved} of {count} accounts were due")
    bound = MOST_EXPIRY_SECONDS * count / DUE_LOTS
    figures = (
        Figure("expiry of all", seconds, "s", target=Target("at most", bound, of="value")),
        Figure("accounts", count / seconds, "1/s"),
        Figure("decisions posted meanwhile", len(latencies) / seconds, "1/s"),
        Figure("posting one of them, p99", 1e3 * percentile(latencies, 0.99), "ms"),
    )
    return Result("daily-expiry", figures, (f"{count:,} accounts with a lot that has expired.",))


async def _seed(wiring: Wiring, count: int, expires: int) -> None:
    """Write accounts as they are after one entry, straight into the journal."""
    lot = "base.2020-01-31"
    terms = (LotTerms(lot, "base", 0, expires),)
    at = expires - DAY
    for start in range(0, count, BATCH * 5):
        drafts, documents = [], []
        for number in range(start, min(start + BATCH * 5, count)):
            member = f"due-{number:07d}"
            entry = PointsPosted(
                f"{member}-1",
                member,
                "earn",
                "act_1",
                1,
                between("issuance", "member", "base", lot, 45),
                {"base": 45},
                terms=terms,
            )
            drafts.append(
                Draft(
                    f"account:{member}",
                    1,
                    "reward:1",
                    b"",
                    "PointsPosted",
                    at,
                    at,
                    _encoder.encode(entry),
                )
            )
            documents.append(Document(member, 0, b"{}", {"due": expires}))
        await wiring.entries.append(drafts)
        await wiring.store.views.save(DUE, documents)


async def _intake(wiring: Wiring, stop: asyncio.Event) -> list[float]:
    """Post a decision every 20 ms; return how long each took, in seconds."""
    taken: list[float] = []
    seq = 0
    while not stop.is_set():
        seq += 1
        began = time.perf_counter()
        await post_decisions(wiring.ledger, wiring.rules, [decision("busy", seq, system_clock())])
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return taken
