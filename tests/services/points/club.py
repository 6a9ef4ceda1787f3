"""The points API as its callers see it, in one process or several, on one store."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec

from contracts.envelope import Fact
from contracts.members import MemberFileChanged
from kit.auth import LocalIssuer
from kit.clock import SECOND
from kit.settings import AuthSettings, HttpSettings, StoreSettings, TelemetrySettings
from services.points import audit, queries
from services.points.app import create_app
from services.points.commands import note_contacts, post_decisions
from services.points.settings import ApiSettings
from services.points.wiring import Wiring
from tests.services.points.decisions import granted
from tests.services.starting import AUDIENCE, ISSUER, PROGRAMME, TestClock, key_file

HOUR = 3_600 * SECOND
RULES = """
points:
  hold_minutes: 30
  transfers: { minimum: 10, maximum: 5000, accept_within_days: 14 }
  adjustments:
    alone_up_to: 500
    reasons:
      - { code: goodwill, name: { en: Goodwill, zh: 补偿 }, account: compensation }
      - { code: correction, name: { en: Correction, zh: 更正 } }
  fraud:
    per_member: [{ hours: 24, times: 20 }]
    per_device: [{ hours: 24, times: 3 }]
    per_payee: [{ hours: 24, times: 2 }]
    cooling_hours: 24
    step_up_above: 1000
"""
_keys = count(1)


@dataclass
class Process:
    """One API process."""

    client: httpx.AsyncClient
    wiring: Wiring


@dataclass
class Club:
    """Members, agents and tills in front of the API. ``who`` is a member's id or a role.

    A member's id with ``+`` behind it is somebody who signed in with a second factor; ``agent:A7``
    is an agent with that name.
    """

    settings: ApiSettings
    clock: TestClock
    issuer: LocalIssuer
    stack: AsyncExitStack
    processes: list[Process] = field(default_factory=list)
    earned: Counter[str] = field(default_factory=Counter)

    @property
    def wiring(self) -> Wiring:
        """The newest process's."""
        return self.processes[-1].wiring

    async def start(self) -> Process:
        """Start one more process on the same store, with nothing in memory."""
        app = create_app(self.settings, self.clock)
        await self.stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://points")
        await self.stack.enter_async_context(client)
        self.processes.append(Process(client, app.state.wiring))
        return self.processes[-1]

    def token(self, who: str) -> str:
        """A token of theirs."""
        role, _, name = who.partition(":")
        if role in ("agent", "operator", "partner", "marketer"):
            return self.issuer.token(role, subject=name or None)
        member = who.rstrip("+")
        return self.issuer.token("member", member, step_up=who.endswith("+"))

    async def ask(
        self,
        who: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        process: Process | None = None,
    ) -> httpx.Response:
        """Send one request; each has a key of its own unless ``key`` says which ("": none)."""
        headers = {"authorization": f"Bearer {self.token(who)}"}
        if key is None or key:
            headers["idempotency-key"] = key or f"key-{next(_keys)}"
        client = (process or self.processes[-1]).client
        return await client.request(method, path, json=body, headers=headers)

    async def post(
        self, who: str, path: str, body: Mapping[str, Any] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a POST; without a body an empty object."""
        return await self.ask(who, "POST", path, body if body is not None else {}, **more)

    async def get(self, who: str, path: str) -> Any:
        """Return what a GET answers, which must be a 200."""
        answer = await self.ask(who, "GET", path, key="")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def earn(self, member: str, points: int) -> None:
        """Let a member earn points, in both wallets."""
        self.earned[member] += 1
        decision = granted(member, self.earned[member], points)
        await post_decisions(self.wiring.ledger, self.wiring.rules, [decision])

    async def change_contact(self, member: str) -> None:
        """Let a member have changed their e-mail address just now."""
        body = msgspec.Raw(msgspec.json.encode(MemberFileChanged(member, filled=("email",))))
        now = self.clock()
        told = Fact(f"member:{member}", 5, "c", "MemberFileChanged", now, now, body)
        await note_contacts(self.wiring.ledger, self.wiring.rules, [told])

    async def balance(self, owner: str, wallet: str = "base") -> int:
        """Return what an owner can spend."""
        wiring = self.wiring
        _, state = await queries.account(wiring.ledger, wiring.rules, owner, self.clock())
        return state.balances.get(wallet, 0)

    async def follow(self, *, twice: bool = False) -> None:
        """Let the service follow its own entries, until there are no new ones."""
        wiring = self.wiring
        while facts := await wiring.entries.unpublished():
            for _ in range(2 if twice else 1):
                await wiring.follower.handle(facts)
            await wiring.entries.mark_published(facts)

    async def facts(self, owner: str) -> int:
        """Return how many facts an account has."""
        return await self.wiring.entries.head(f"account:{owner}")

    async def findings(self) -> list[str]:
        """Return what an auditor finds."""
        return await audit.findings(self.wiring)


def refused(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    return answer.status_code, answer.json()["code"]


async def club_on(
    store: StoreSettings, place: Path, clock: TestClock, issuer: LocalIssuer, rules: str = RULES
) -> AsyncIterator[Club]:
    """A club on a store, with a programme of these rules."""
    programme = place / "programme.yaml"
    programme.write_text(PROGRAMME.read_text("utf-8") + rules, "utf-8")
    settings = ApiSettings(
        HttpSettings("127.0.0.1", 0, 0, "info"),
        AuthSettings(ISSUER, AUDIENCE, None, key_file(place)),
        store,
        TelemetrySettings(None),
        programme,
    )
    async with AsyncExitStack() as stack:
        club = Club(settings, clock, issuer, stack)
        await club.start()
        yield club
