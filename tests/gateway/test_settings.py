import httpx
import pytest

from gateway.app import create_app
from gateway.settings import Limits, read_settings
from kit.settings import SettingsError

GIVEN = {
    "MOORING_OIDC_ISSUER": "https://login.example",
    "MOORING_OIDC_JWKS_URL": "https://login.example/keys",
    "MOORING_MEMBERS_URL": "http://members:8101/",
    "MOORING_POINTS_URL": "http://points:8102",
    "MOORING_EVENTS_URL": "http://events:8103",
}


def test_what_is_not_given_has_its_default():
    settings = read_settings(GIVEN)
    assert (settings.http.port, settings.limits) == (8080, Limits())
    assert settings.upstreams == {
        "members": "http://members:8101",
        "points": "http://points:8102",
        "events": "http://events:8103",
    }


def test_every_limit_can_be_set():
    names = ("MEMBER_RATE", "MEMBER_BURST", "CLIENT_RATE", "CLIENT_BURST", "IN_FLIGHT")
    spans = ("UPSTREAM_MS", "BATCH_MS", "HOME_PART_MS")
    values = {f"MOORING_{name}": str(n) for n, name in enumerate((*names, *spans), start=1)}
    assert read_settings(GIVEN | values).limits == Limits(1, 2, 3, 4, 5, 6, 7, 8)


def test_all_that_is_missing_is_told_at_once():
    with pytest.raises(SettingsError) as caught:
        read_settings({"MOORING_IN_FLIGHT": "0"})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "MOORING_OIDC_JWKS_URL",
        "MOORING_OIDC_ISSUER",
        "MOORING_IN_FLIGHT",
        "MOORING_MEMBERS_URL",
        "MOORING_POINTS_URL",
        "MOORING_EVENTS_URL",
    ]


async def test_without_a_local_key_the_gateway_is_no_issuer():
    app = create_app(read_settings(GIVEN))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.get("/.well-known/jwks.json")).status_code == 404
