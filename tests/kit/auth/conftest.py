import pytest
from joserfc.jwk import ECKey

from kit.auth import LocalIssuer

ISSUER = "https://login.example"
NOW = 1_800_000_000.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


@pytest.fixture
def issuer(key: ECKey, clock: Clock) -> LocalIssuer:
    return LocalIssuer(key, ISSUER, "mooring", clock=clock)
