"""The points API over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from kit.auth import LocalIssuer
from kit.settings import StoreSettings
from services.points.app import create_app
from services.points.commands import post_decisions
from services.points.settings import ApiSettings
from tests.services.points.decisions import granted, returned
from tests.services.starting import TestClock, api_settings


@pytest.fixture
async def api(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[httpx.AsyncClient]:
    settings = api_settings(ApiSettings, tmp_path)
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://points") as client:
            await post_decisions(
                app.state.wiring.ledger,
                app.state.wiring.rules,
                [granted("M1", 1), granted("M1", 2), returned("M1", 3, 1, 0, 500)],
            )
            client.headers["authorization"] = f"Bearer {issuer.token('member', 'M1')}"
            yield client


async def test_a_member_reads_their_balances(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/M1/points")
    assert answer.status_code == 200
    assert answer.json() == {
        "member_id": "M1",
        "as_of": "2026-01-01T00:00:00Z",
        "entries": 3,
        "wallets": [
            {
                "wallet": wallet,
                "balance": 18,
                "pending": 0,
                "held": 0,
                "negative": 0,
                "earned": 24,
                "spent": 0,
                "expired": 0,
                "returned": 6,
                "expiring": [],
                "opening": [],
            }
            for wallet in ("base", "tier")
        ],
    }


async def test_another_members_balances_are_forbidden(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/M2/points")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_member")


async def test_without_a_token_nothing_is_shown(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/M1/points", headers={"authorization": ""})
    assert answer.status_code == 401


async def test_an_agent_reads_any_account_and_an_unknown_one_is_empty(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    headers = {"authorization": f"Bearer {issuer.token('agent')}"}
    answer = await api.get("/v1/members/nobody/points", headers=headers)
    assert (answer.status_code, answer.json()["wallets"]) == (200, [])


async def test_the_statement_pages_newest_first(api: httpx.AsyncClient) -> None:
    first = (await api.get("/v1/members/M1/points/statement", params={"limit": 2})).json()
    assert [item["entry_id"] for item in first["items"]] == ["M1-3", "M1-2"]
    assert first["items"][0]["kind"] == "return"
    assert first["items"][0]["reverses"] == "act_1"
    assert first["items"][0]["changes"][0] == {"wallet": "base", "change": -6, "balance": 18}
    query = {"limit": 2, "cursor": first["next"]}
    second = (await api.get("/v1/members/M1/points/statement", params=query)).json()
    assert [item["entry_id"] for item in second["items"]] == ["M1-1"]
    assert second["next"] is None


async def test_a_cursor_of_another_list_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/M1/points/statement", params={"cursor": "bm9uc2Vuc2U"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


async def test_a_balance_as_of_a_time_not_settled_is_refused(
    api: httpx.AsyncClient, clock: TestClock
) -> None:
    moment = datetime.fromtimestamp(clock.now / 1e6, UTC) - timedelta(seconds=59)
    answer = await api.get("/v1/members/M1/points", params={"as_of": moment.isoformat()})
    assert (answer.status_code, answer.json()["code"]) == (422, "as_of_not_settled")
    assert answer.json()["field"] == "as_of"


async def test_a_balance_as_of_a_time_without_zone_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/M1/points", params={"as_of": "2025-01-01T00:00:00"})
    assert (answer.status_code, answer.json()["code"]) == (422, "time_zone_missing")


async def test_a_strange_member_id_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/members/%2e%2e/points")
    assert answer.status_code in (403, 404, 422)
