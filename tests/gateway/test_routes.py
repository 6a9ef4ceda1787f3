import contextlib
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routes import ROUTES, canonical, match, own_path
from kit.auth import ROLES, Principal
from kit.errors import ServiceError

TRICKS = st.text(alphabet="/.%25eE2fFM1:;\\a\x00é ~_-me", max_size=30)


@given(TRICKS)
def test_a_path_that_passes_means_one_thing_however_often_it_is_decoded_and_tidied(tail: str):
    try:
        path = canonical(("/v1/members/" + tail).encode())
    except ServiceError:
        return
    segments = path.split("/")
    decoded = [unquote(segment) for segment in segments]
    assert "" not in segments[1:]
    assert not {".", ".."} & set(decoded)
    assert not any(re.search(r"[/\\%\x00-\x1f\x7f]", segment) for segment in decoded)


@given(st.text(min_size=1, max_size=20))
def test_a_members_own_path_names_that_member_or_nothing(member_id: str):
    principal = Principal("s", frozenset({"member"}), member_id)
    try:
        found = match(own_path("/v1/me/points", principal))
    except (ServiceError, UnicodeEncodeError):
        return
    assert found is not None
    assert (found.member_id, found.route.service) == (member_id, "points")


@given(st.text(min_size=1, max_size=20), st.sampled_from(["/points", "/activities", "", "/card"]))
def test_the_owner_that_is_checked_is_the_member_that_is_asked_for(member_id: str, rest: str):
    try:
        path = canonical(f"/v1/members/{quote(member_id, safe='')}{rest}".encode())
    except (ServiceError, UnicodeEncodeError):
        return
    found = match(path)
    assert found is not None
    assert found.member_id == member_id
    assert found.route.owner


def test_an_id_that_is_not_utf8_is_refused():
    with pytest.raises(ServiceError, match="bad_path"):
        match("/v1/members/%FF/points")


def test_every_line_of_the_table_lets_somebody_in():
    for route in ROUTES:
        assert route.methods, route.template
        assert route.owner == ("{member_id}" in route.template)


@pytest.mark.parametrize(
    ("path", "member_id", "methods"),
    [
        ("/v1/rewards", None, {"GET", "HEAD"}),
        ("/v1/rewards/mug:retire", None, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("/v1/rewards/mug/stock", None, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("/v1/members/M1/rewards", "M1", {"GET", "HEAD"}),
        (
            "/v1/members/M1/redemptions",
            "M1",
            {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
        ),
        (
            "/v1/members/M1/redemptions/r1:confirm",
            "M1",
            {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
        ),
    ],
)
def test_rewards_and_redemptions_go_to_points(path: str, member_id: str | None, methods: set[str]):
    found = match(path)
    assert found is not None
    assert (found.route.service, found.member_id) == ("points", member_id)
    assert found.route.methods == methods


def test_only_those_who_keep_the_catalogue_may_change_it():
    found = match("/v1/rewards/mug")
    assert found is not None
    found.route.admit("PUT", Principal("s", frozenset({"marketer"})), None)
    for role in ("member", "agent", "partner"):
        with pytest.raises(ServiceError, match="role_missing"):
            found.route.admit("PUT", Principal("s", frozenset({role})), None)


def principal(role: str) -> Principal:
    return Principal("s", frozenset({role}), "M1" if role == "member" else None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/members/M1/vouchers", {"member", "agent", "operator"}),
        ("POST", "/v1/members/M1/vouchers", {"member", "agent", "operator"}),
        ("GET", "/v1/voucher-series", {"agent", "marketer", "operator"}),
        ("PUT", "/v1/voucher-series/spring", {"marketer", "operator"}),
        ("POST", "/v1/voucher-series/spring/codes", {"marketer", "operator"}),
        ("POST", "/v1/vouchers:validate", {"agent", "operator", "partner"}),
        ("POST", "/v1/vouchers:redeem", {"partner"}),
        ("POST", "/v1/vouchers/vch_1:cancel", {"agent", "partner"}),
        ("POST", "/v1/vouchers/vch_1:undo", {"agent", "partner"}),
    ],
)
def test_vouchers_are_the_points_services_and_let_in_those_who_may_be_right(
    method: str, path: str, allowed: set[str]
):
    assert admitted(method, path, "points") == allowed


OWNER_AND_CLERKS = {"member", "agent", "operator", "partner"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/members/M1/points/holds", OWNER_AND_CLERKS),
        ("POST", "/v1/members/M1/points/holds/hold_a:capture", OWNER_AND_CLERKS),
        ("POST", "/v1/members/M1/points/transfers", OWNER_AND_CLERKS),
        ("GET", "/v1/members/M1/points/transfers", {*OWNER_AND_CLERKS, "marketer"}),
        ("GET", "/v1/members/M1/pools", {"member", "agent", "operator"}),
        ("POST", "/v1/pools", {"member"}),
        ("GET", "/v1/pools/pool_a", {"member", "agent", "operator"}),
        ("GET", "/v1/pools/pool_a/statement", {"member", "agent", "operator"}),
        ("POST", "/v1/pools/pool_a/members", {"member"}),
        ("POST", "/v1/pools/pool_a/members/M2:join", {"member"}),
        ("POST", "/v1/pools/pool_a/transfers", {"member"}),
        ("POST", "/v1/pools/pool_a/redemptions", {"member"}),
        ("GET", "/v1/pools/pool_a/redemptions", {"member", "agent", "operator", "partner"}),
        ("GET", "/v1/pools/pool_a/redemptions/rdm_a", {"member", "agent", "operator", "partner"}),
        (
            "POST",
            "/v1/pools/pool_a/redemptions/rdm_a:confirm",
            {"member", "agent", "operator", "partner"},
        ),
        ("GET", "/v1/points/adjustments", {"operator"}),
        ("GET", "/v1/points/reports/movement", {"marketer", "operator"}),
        ("GET", "/v1/points/alerts", {"marketer", "operator"}),
    ],
)
def test_accounts_and_pools_are_the_points_services_and_let_in_those_who_may_be_right(
    method: str, path: str, allowed: set[str]
):
    assert admitted(method, path, "points") == allowed


def admitted(method: str, path: str, service: str) -> set[str]:
    """The roles that the line for a path lets in; the member is M1."""
    found = match(path)
    assert found is not None
    assert found.route.service == service
    assert method in found.route.methods
    roles = set()
    for role in ROLES:
        with contextlib.suppress(ServiceError):
            found.route.admit(method, principal(role), found.member_id)
            roles.add(role)
    return roles
