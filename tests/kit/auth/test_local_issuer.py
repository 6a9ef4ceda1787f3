import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit.auth import LocalIssuer, TokenVerifier
from kit.auth.wiring import token_verifier
from kit.errors import ServiceError
from kit.settings import AuthSettings

ISSUER = "http://127.0.0.1:8080"


def test_the_key_file_is_private_and_kept(tmp_path: Path):
    path = tmp_path / "state" / "issuer.jwk"
    first = LocalIssuer.open(path, ISSUER, "mooring")
    second = LocalIssuer.open(path, ISSUER, "mooring")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.jwks() == second.jwks()
    assert [file.name for file in path.parent.iterdir()] == ["issuer.jwk"]


def test_the_published_key_set_holds_nothing_private(tmp_path: Path):
    (published,) = LocalIssuer.open(tmp_path / "k", ISSUER, "mooring").jwks()["keys"]
    assert sorted(published) == ["alg", "crv", "kid", "kty", "use", "x", "y"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path):
    path = tmp_path / "issuer.jwk"
    with ThreadPoolExecutor(8) as pool:
        opened = pool.map(lambda _: LocalIssuer.open(path, ISSUER, "mooring").jwks(), range(8))
        assert len({str(jwks) for jwks in opened}) == 1


@pytest.mark.parametrize(
    ("role", "member_id", "complaint"),
    [("king", None, "not one of"), ("member", None, "needs the member's id")],
)
def test_a_token_that_would_mean_nothing_is_not_issued(
    tmp_path: Path, role: str, member_id: str | None, complaint: str
):
    issuer = LocalIssuer.open(tmp_path / "k", ISSUER, "mooring")
    with pytest.raises(ValueError, match=complaint):
        issuer.token(role, member_id)


async def test_settings_with_a_local_key_make_a_verifier_that_accepts_its_tokens(tmp_path: Path):
    settings = AuthSettings(ISSUER, "mooring", None, tmp_path / "k")
    token = LocalIssuer.open(tmp_path / "k", ISSUER, "mooring").token("agent")
    assert (await token_verifier(settings).verify(token)).roles == {"agent"}


async def test_two_local_issuers_do_not_believe_each_other(tmp_path: Path):
    mine = LocalIssuer.open(tmp_path / "mine", ISSUER, "mooring")
    other = LocalIssuer.open(tmp_path / "other", ISSUER, "mooring")
    with pytest.raises(ServiceError, match="token_key"):
        await TokenVerifier(ISSUER, "mooring", mine.jwks()).verify(other.token("operator"))
