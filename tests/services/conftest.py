"""Fixtures of all services' tests."""

from pathlib import Path

import pytest

from kit.auth import LocalIssuer
from kit.settings import StoreSettings
from tests.services.starting import AUDIENCE, ISSUER, TestClock, key_file, store_settings


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return store_settings(tmp_path)


@pytest.fixture
def issuer(tmp_path: Path) -> LocalIssuer:
    return LocalIssuer.open(key_file(tmp_path), ISSUER, AUDIENCE)
