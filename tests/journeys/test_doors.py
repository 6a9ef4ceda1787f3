"""The gateway's table and the points service agree on who may do what."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.routes import match
from kit.auth import LocalIssuer
from kit.auth.principal import Principal
from kit.errors import ServiceError
from services.points.app import create_app
from tests.services.points.club import Club, club_on
from tests.services.starting import AUDIENCE, ISSUER, START, TestClock, key_file, store_settings

WHO = ("M1", "M2", "agent", "partner", "marketer", "operator")
PLACES = {
    "member_id": "M1",
    "pool_id": f"pool_{'a' * 24}",
    "hold_id": f"hold_{'a' * 24}",
    "transfer_id": f"transfer_{'a' * 24}",
    "request_id": f"adjustment_{'a' * 24}",
    "redemption_id": f"rdm_{'a' * 24}",
    "voucher_id": f"vch_{'a' * 26}",
    "reward_id": "mug",
    "series_id": "spring",
    "month": "2026-01",
}


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    issuer = LocalIssuer.open(key_file(tmp_path), ISSUER, AUDIENCE)
    async for opened in club_on(store_settings(tmp_path), tmp_path, TestClock(START), issuer):
        yield opened


def operations(club: Club) -> list[tuple[str, str]]:
    """Every method and path of the service, with something at each place."""
    paths = create_app(club.settings, club.clock).openapi()["paths"]
    return [
        (method.upper(), path.format(**PLACES))
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1")
    ]


def admitted(method: str, path: str, who: str) -> bool:
    """Whether the gateway passes it on."""
    found = match(path)
    assert found is not None, path
    member = who if who.startswith("M") else None
    principal = Principal(who, frozenset(["member" if member else who]), member)
    try:
        found.route.admit(method, principal, found.member_id)
    except ServiceError:
        return False
    return method in found.route.methods


async def test_whom_the_service_lets_in_the_gateway_does_not_turn_away(club: Club) -> None:
    operations_ = operations(club)
    assert len(operations_) > 40
    turned_away = []
    for method, path in operations_:
        body = {} if method in ("POST", "PUT") else None
        for who in WHO:
            answer = await club.ask(who, method, path, body)
            assert answer.status_code < 500, (who, method, path)
            if answer.status_code != 403 and not admitted(method, path, who):
                turned_away.append((who, method, path))
    assert turned_away == []


async def test_nothing_of_a_member_is_done_or_shown_for_another(club: Club) -> None:
    for method, path in operations(club):
        if "/members/M1" in path or path.startswith("/v1/pools/"):
            body = {} if method in ("POST", "PUT") else None
            answer = await club.ask("M2", method, path, body)
            assert answer.status_code in (403, 422), (method, path, answer.text)
            if answer.status_code == 422:  # a body that says nothing is looked at first
                assert path.startswith("/v1/pools/"), path
