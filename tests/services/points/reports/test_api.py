"""The reports over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kit.auth import LocalIssuer, token_verifier
from kit.http.app import create_app
from services.points.reports.endpoints import router
from services.points.reports.wiring import Reports
from services.points.settings import ApiSettings
from tests.services.points.reports.conftest import book
from tests.services.points.reports.histories import History, moment
from tests.services.points.reports.test_tables import LIABILITY, MOVEMENT
from tests.services.starting import api_settings

PATHS = ("/v1/points/reports/movement", "/v1/points/reports/liability", "/v1/points/alerts")


@pytest.fixture
async def api(
    tmp_path: Path, reports: Reports, issuer: LocalIssuer
) -> AsyncIterator[httpx.AsyncClient]:
    settings = api_settings(ApiSettings, tmp_path)
    app = create_app("points", "1", [router], verifier=token_verifier(settings.auth))
    app.state.reports = reports
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://points") as client:
        client.headers["authorization"] = f"Bearer {issuer.token('marketer')}"
        yield client


async def _refresh(reports: Reports) -> None:
    assert await reports.task().look(asyncio.Event())


@pytest.mark.parametrize("path", PATHS)
async def test_before_the_first_refresh_the_answer_says_when(
    api: httpx.AsyncClient, path: str
) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "report_not_ready")
    assert answer.json()["first_within_seconds"] == 30
    assert "within 30 s of its start" in answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("role", ["agent", "partner"])
async def test_only_marketers_and_operators_read_reports(
    api: httpx.AsyncClient, issuer: LocalIssuer, path: str, role: str
) -> None:
    token = issuer.token(role, partner="P1") if role == "partner" else issuer.token(role)
    answer = await api.get(path, headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_missing")


async def test_an_operator_reads_the_movement_of_some_months(
    api: httpx.AsyncClient, reports: Reports, issuer: LocalIssuer
) -> None:
    await _refresh(reports)
    answer = await api.get(
        PATHS[0],
        params={"by": "booking", "from": "2026-02", "to": "2026-02"},
        headers={"authorization": f"Bearer {issuer.token('operator')}"},
    )
    assert answer.status_code == 200
    [row] = answer.json().pop("rows")
    assert (row["month"], row["opening"], row["issued"], row["returned"]) == (
        "2026-02",
        100,
        40,
        20,
    )
    assert (row["closing"], row["difference"], row["closed"]) == (120, 0, True)
    assert answer.json()["as_of"] == "2026-03-10T16:00:00Z"
    assert (answer.json()["by"], answer.json()["time_zone"]) == ("booking", "America/New_York")


async def test_liability_names_money_points_and_what_is_not_known(
    api: httpx.AsyncClient, reports: Reports
) -> None:
    await _refresh(reports)
    body = (await api.get(PATHS[1])).json()
    assert (body["currency"], body["cost_per_point"]) == ("USD", "0.5")
    [wallet] = body["wallets"]
    assert (wallet["outstanding"], wallet["gross"], wallet["rate"]) == (240, 120, None)
    assert [row["month"] for row in body["rows"]] == ["2026-03", "2026-04", "2026-05"]


async def test_alerts_come_with_the_net_issuance_of_the_last_days(
    api: httpx.AsyncClient, reports: Reports
) -> None:
    await _refresh(reports)
    body = (await api.get(PATHS[2])).json()
    assert (body["limit"], body["alerts"], body["left_out"]) == (150, [], 0)
    assert body["days"] == [
        {"day": "2026-03-10", "wallet": "base", "by_value": 120, "by_booking": 120},
        {"day": "2026-02-05", "wallet": "base", "by_value": -20, "by_booking": -20},
        {"day": "2026-02-03", "wallet": "base", "by_value": 40, "by_booking": 40},
        {"day": "2026-01-10", "wallet": "base", "by_value": 100, "by_booking": 100},
    ]


@pytest.mark.parametrize(
    ("params", "accept"),
    [({"format": "csv"}, "*/*"), ({}, "text/csv"), ({"format": "csv"}, "application/json")],
)
async def test_reports_are_csv_when_the_caller_says_so(
    api: httpx.AsyncClient, reports: Reports, params: dict[str, str], accept: str
) -> None:
    await _refresh(reports)
    asked = {"params": {**params, "by": "booking"}, "headers": {"accept": accept}}
    answer = await api.get(PATHS[0], **asked)  # type: ignore[arg-type]
    assert answer.content.decode() == MOVEMENT
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="movement-booking.csv"'
    liability = await api.get(PATHS[1], params=params, headers={"accept": accept})
    assert liability.content.decode() == LIABILITY
    alerts = await api.get(PATHS[2], params=params, headers={"accept": accept})
    assert alerts.text == "kind,when,wallet,by_value,by_booking,limit,noticed_at\r\n"


async def test_json_when_the_caller_says_so_against_the_header(
    api: httpx.AsyncClient, reports: Reports
) -> None:
    await _refresh(reports)
    answer = await api.get(PATHS[0], params={"format": "json"}, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"from": "2026-13"}, "invalid_request"),
        ({"from": "2026-1"}, "invalid_request"),
        ({"by": "tide"}, "invalid_request"),
        ({"format": "xml"}, "invalid_request"),
        ({"from": "2026-03", "to": "2026-02"}, "months_reversed"),
    ],
)
async def test_months_and_words_that_cannot_be_are_refused(
    api: httpx.AsyncClient, reports: Reports, params: dict[str, str], code: str
) -> None:
    await _refresh(reports)
    answer = await api.get(PATHS[0], params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_an_answer_has_at_most_ten_years(api: httpx.AsyncClient, reports: Reports) -> None:

    history = History()
    history.earn("Z", 1, moment(2010, 1, 1), "ever")
    await book(reports, history)
    await _refresh(reports)
    rows = (await api.get(PATHS[0])).json()["rows"]
    assert (len(rows), rows[0]["month"], rows[-1]["month"]) == (120, "2016-04", "2026-03")
    assert rows[0]["opening"] == 1
    answer = await api.get(PATHS[0], params={"from": "2010-01"})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_months")
    early = (await api.get(PATHS[0], params={"from": "2010-01", "to": "2010-02"})).json()
    assert [row["closing"] for row in early["rows"]] == [1, 1]
    assert early["as_of"] == "2026-03-10T16:00:00Z"
