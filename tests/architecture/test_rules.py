"""The rules of the house hold, and each of them can fail."""

from pathlib import Path

import pytest

from tests.architecture import rules

ROOT = Path(__file__).parents[2]
FOLDERS = (*rules.LAYERS, "tests")


@pytest.fixture(scope="module")
def tree() -> dict[str, str]:
    """Every Python source of the repository, by path."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: rules.Rule, tree: dict[str, str]) -> None:
    assert rule(tree) == []


LONG_FUNCTION = "def long():\n" + "    pass\n" * rules.FUNCTION_LINES

PLANTED = [
    (
        rules.layers_point_one_way,
        "kit/x.py",
        "from services.points import views",
        "services.points",
    ),
    (rules.layers_point_one_way, "gateway/x.py", "import services.points.app", "services.points"),
    (rules.layers_point_one_way, "services/points/x.py", "from mooring import cli", "mooring"),
    (rules.layers_point_one_way, "contracts/x.py", "import kit.clock", "kit.clock"),
    (
        rules.services_import_no_other_service,
        "services/points/x.py",
        "from services import members",
        "services.members",
    ),
    (
        rules.services_import_no_other_service,
        "services/points/domain/x.py",
        "import services.events.app",
        "services.events",
    ),
    (rules.domain_is_pure, "services/points/domain/x.py", "import time", "time is not pure"),
    (rules.domain_is_pure, "services/points/domain/x.py", "import httpx", "httpx is not for"),
    (
        rules.domain_is_pure,
        "services/points/domain/x.py",
        "from kit.journal.port import Journal",
        "kit.journal",
    ),
    (rules.drivers_stay_in_adapters, "services/points/x.py", "import pymongo", "pymongo"),
    (rules.drivers_stay_in_adapters, "kit/relay.py", "from kafka import KafkaConsumer", "kafka"),
    (
        rules.adapters_are_named_in_wiring,
        "services/points/commands.py",
        "from kit.journal.sqlite import SqliteJournal",
        "kit.journal.sqlite",
    ),
    (
        rules.broad_excepts_stay_at_the_edges,
        "services/points/x.py",
        "try:\n    pass\nexcept Exception:\n    pass",
        "catches everything",
    ),
    (rules.functions_and_files_stay_small, "kit/x.py", LONG_FUNCTION, "long has 71 lines"),
    (rules.functions_and_files_stay_small, "kit/x.py", "#\n" * 501, "501 lines"),
    (rules.modules_have_telling_names, "kit/utils.py", "", "vague name"),
    (rules.modules_have_telling_names, "kit/common/x.py", "", "vague name"),
    (rules.tests_use_no_mocks, "tests/x.py", "with mock.patch('a'): ...", "mock.patch"),
]


@pytest.mark.parametrize(("rule", "path", "text", "names"), PLANTED)
def test_a_planted_violation_is_found(
    rule: rules.Rule, path: str, text: str, names: str, tree: dict[str, str]
) -> None:
    found = [line for line in rule({**tree, path: text}) if line.startswith(path)]
    assert found
    assert names in found[0]


def test_every_rule_has_a_planted_violation() -> None:
    assert {planted[0] for planted in PLANTED} == set(rules.RULES)
