from pathlib import Path

import pytest

from kit.settings import (
    AuthSettings,
    BusSettings,
    HttpSettings,
    SettingsError,
    StoreSettings,
    TelemetrySettings,
    reading,
)


def read_three_groups(values: dict[str, str]) -> None:
    with reading(values) as environment:
        HttpSettings.read(environment, 8101)
        StoreSettings.read(environment)
        BusSettings.read(environment)


def test_all_mistakes_are_told_at_once_with_what_is_allowed():
    values = {
        "MOORING_PORT": "80a",
        "MOORING_LOG_LEVEL": "loud",
        "MOORING_BUS_URL": "rabbit://x",
    }
    with pytest.raises(SettingsError) as caught:
        read_three_groups(values)
    assert str(caught.value).splitlines() == [
        "MOORING_PORT: '80a' does not do; allowed: a whole number from 0 to 65535",
        "MOORING_LOG_LEVEL: 'loud' is not known; allowed: debug, info, warning, error",
        "MOORING_STORE_URL: is required and missing; allowed: sqlite:DIR, mongodb://… or "
        "mongodb+srv://…",
        "MOORING_BUS_URL: 'rabbit://x' is neither; allowed: sqlite:DIR or "
        "kafka://host:port,host:port",
    ]


def test_what_is_given_arrives_and_what_is_not_has_its_default():
    values = {"MOORING_PORT": "9000", "MOORING_DRAIN_SECONDS": "15"}
    with reading(values) as environment:
        http = HttpSettings.read(environment, 8101)
        telemetry = TelemetrySettings.read(environment)
    assert http == HttpSettings("127.0.0.1", 9000, 15, "info")
    assert telemetry.otlp_endpoint is None


@pytest.mark.parametrize("port", ["-1", "65536", "1e3", "٣", "9" * 30, "8080.0"])
def test_a_port_out_of_bounds_stops_the_start(port: str):
    with pytest.raises(SettingsError, match="MOORING_PORT"), reading({"MOORING_PORT": port}) as env:
        HttpSettings.read(env, 8101)


def test_the_embedded_store_and_bus_are_folders():
    values = {"MOORING_STORE_URL": "sqlite:/data/store", "MOORING_BUS_URL": "sqlite:bus"}
    with reading(values) as environment:
        store, bus = StoreSettings.read(environment), BusSettings.read(environment)
    assert (store.kind, store.directory) == ("sqlite", Path("/data/store"))
    assert (bus.kind, bus.directory) == ("sqlite", Path("bus"))


def test_the_distributed_store_and_bus_are_addresses():
    values = {
        "MOORING_STORE_URL": "mongodb://app:pa55@db1,db2/mooring?replicaSet=rs",
        "MOORING_MONGO_DRIVER": "PyMongo",
        "MOORING_BUS_URL": "kafka://k1:9092,k2:9092",
    }
    with reading(values) as environment:
        store, bus = StoreSettings.read(environment), BusSettings.read(environment)
    assert (store.kind, store.driver) == ("mongodb", "pymongo")
    assert bus.servers == ["k1:9092", "k2:9092"]
    assert "pa55" not in repr(store)


def test_a_wrong_store_address_is_refused_without_repeating_its_password():
    values = {"MOORING_STORE_URL": "postgres://app:pa55@db/mooring"}
    with pytest.raises(SettingsError) as caught, reading(values) as environment:
        StoreSettings.read(environment)
    assert "MOORING_STORE_URL" in str(caught.value)
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:", "kafka://", "kafka://k1", "kafka://k1:9092,", "k1:9092"]
)
def test_a_bus_address_that_leads_nowhere_is_refused(url: str):
    values = {"MOORING_BUS_URL": url}
    with pytest.raises(SettingsError, match="MOORING_BUS_URL"), reading(values) as environment:
        BusSettings.read(environment)


def test_no_process_starts_without_a_way_to_check_tokens():
    with pytest.raises(SettingsError) as caught, reading({}) as environment:
        AuthSettings.read(environment)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "MOORING_OIDC_JWKS_URL",
        "MOORING_OIDC_ISSUER",
    ]


@pytest.mark.parametrize(
    "url", ["login.example/keys", "ftp://x/y", "http://", "http://a:b@c/", "http://h:x"]
)
def test_an_address_that_is_none_is_refused(url: str):
    values = {"MOORING_OIDC_ISSUER": "i", "MOORING_OIDC_JWKS_URL": url}
    with pytest.raises(SettingsError, match="OIDC_JWKS_URL"), reading(values) as environment:
        AuthSettings.read(environment)
