"""Each kind of mistake in a programme file is answered with file, line, field and the fix."""

import subprocess
import sys
from pathlib import Path

import pytest

from programmes.model import ProgrammeError, load_programme

FIVE_STAR = Path(__file__).parents[2] / "programmes" / "five_star.yaml"
TEXT = FIVE_STAR.read_text(encoding="utf-8")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def problems(folder: Path, old: str, new: str) -> list[str]:
    """The problems of the default programme after one change, without the path."""
    assert old in TEXT
    path = folder / "club.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProgrammeError) as caught:
        load_programme(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "multiplier: 1.25",
            "multiplyer: 1.25",
            "tiers[1].multiplyer: unknown field. Did you mean 'multiplier'?",
        ),
        ("time_zone:", "timezone:", "timezone: unknown field. Did you mean 'time_zone'?"),
        (
            "America/New_York",
            "America/NewYork",
            "time_zone: unknown time zone 'America/NewYork'. Did you mean 'America/New_York'?",
        ),
        (
            "America/New_York",
            "Head office",
            "time_zone: unknown time zone 'Head office'. Use a name such as Europe/Paris.",
        ),
        ("currency: USD", "currency: usd", "currency: must be a currency code (ISO 4217) such as "
         "USD, not 'usd'"),
        ("spend: 600.00", "spend: 600.001", "tiers[1].spend: has more than 2 digits after the "
         "point: 600.001"),
        ("spend: 600.00", "spend: lots", "tiers[1].spend: must be a number, not 'lots'"),
        ("spend: 600.00", "spend: -1", "tiers[1].spend: must be greater than or equal to 0"),
        ("spend: 600.00", "spend: 1800", "tiers[2].spend: must be more than the spend of 'silver'"),
        ("spend: 0.00", "spend: 5", "tiers[0].spend: must be 0, so that every member has a tier"),
        ("code: gold", "code: Gold!", "tiers[2].code: must be a short code such as gold or "
         "early_bird, not 'Gold!'"),
        ("multiplier: 1.25", "multiplier: 0", "tiers[1].multiplier: must be greater than 0"),
        ("multiplier: 1.25", "multiplier: true", "tiers[1].multiplier: must be a number, not true"),
        ("{ en: Silver, zh: 银卡 }", "{ zh: 银卡 }", "tiers[1].name: needs at least the English "
         "text, en"),
        ("[purchase]", "[purchse]", "earning[0].on[0]: 'purchse' is not a valid value. Did you "
         "mean 'purchase'?"),
        ("[purchase]", "[]", "earning[0].on: must not be empty"),
        ("wallet: base, points", "wallet: bass, points", "earning[0].awards[0].wallet: unknown "
         "wallet 'bass'. Did you mean 'base'?"),
        ("rounding: half_up", "rounding: halfup", "earning[0].rounding: 'halfup' is not a valid "
         "value. Did you mean 'half_up'?"),
        ("spendable: true", "spendable: yes", "wallets[0].spendable: must be true or false, not "
         "'yes'"),
        ("spendable: true", "spendable: false", "wallets: needs a spendable wallet"),
        ("activity.amount > 0", "activity.amout > 0", "earning[0].when: Unknown field "
         "'activity.amout'. Did you mean 'activity.amount'?"),
        ("activity.amount > 0", "activity.amount", "earning[0].when: A condition is true or false, "
         "but this is a decimal number. Compare it with something."),
        ('"true"', "true", "stages[0].when: must be text (in quotes if it looks like something "
         "else), not true"),
        ("&& content", "&& contents", "stages[3].when: Unknown field 'contents'. Did you mean "
         "'content'?"),
        ("contact || kept", "contact or kept", "stages[1].when: Unexpected 'or'. Write || "
         "instead."),
        ("minimum_days: 7", "minimum_days: 31", "evidence.repeat: needs minimum_days <= "
         "default_days <= maximum_days"),
        ("name: 20", "name: 21", "member_file.completeness: weights must add up to 100, not 101"),
        ("email: 15", "mail: 15", "member_file.completeness.mail: 'mail' is not a valid value. Did "
         "you mean 'email'?"),
        ("within_days: 90", "within_days: 0", "evidence.contact.within_days: must be greater than "
         "or equal to 1"),
        ("decide_within_seconds: 2", "decide_within_seconds: soon", "decide_within_seconds: must "
         "be a number, not 'soon'"),
        ("version: 1", "version: 1\nversion: 2", "version: is given twice; keep one"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_field(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    (found,) = problems(tmp_path, old, new)
    assert found.partition(": ")[2] == problem


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    line = line_of(TEXT, "code: silver")
    assert problems(tmp_path, "spend: 600.00", "spend: x") == [
        f"{line}: tiers[1].spend: must be a number, not 'x'"
    ]


def test_all_problems_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "club.yaml"
    text = TEXT
    for old, new in [
        ("version: 1", "version: one"),
        ("code: gold", "code: silver"),
        ("spend: 1800.00", "spend: 60"),
        ("activity.amount > 0", "amount > 0"),
        ("code: awareness", "code: acceptance"),
        ("maximum_days: 120", "maximum_dais: 120"),
    ]:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProgrammeError) as caught:
        load_programme(path)
    assert [problem.field for problem in caught.value.problems] == [
        "version",
        "tiers[1].code",
        "tiers[2].code",
        "tiers[2].spend",
        "earning[0].when",
        "stages",
        "evidence.repeat.maximum_dais",
    ]


def test_a_currency_without_decimals_takes_whole_amounts(tmp_path: Path) -> None:
    path = tmp_path / "club.yaml"
    yen = TEXT.replace("currency_exponent: 2", "currency_exponent: 0")
    path.write_text(yen.replace("USD", "JPY"), encoding="utf-8")
    assert [tier.spend for tier in load_programme(path).tiers] == [0, 600, 1800]


def test_codes_are_used_once(tmp_path: Path) -> None:
    again = """  - { id: base, name: { en: Again }, on: [visit], when: "true", awards: [
      { wallet: base, points_per_unit: 1 }] }
"""
    found = problems(tmp_path, "\n# The five steps", f"{again}\n# The five steps")
    assert [problem.partition(": ")[2] for problem in found] == [
        "earning[0].id: 'base' is used more than once",
        "earning[1].id: 'base' is used more than once",
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n", "name: x\n", "tiers: [[1]]\n"])
def test_a_file_of_another_shape_is_a_programme_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "club.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProgrammeError):
        load_programme(path)


def check(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "programmes.check", *arguments]
    done = subprocess.run(
        command, cwd=FIVE_STAR.parents[1], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_check_command_says_ok() -> None:
    code, output = check("programmes/five_star.yaml")
    assert code == 0
    assert output.startswith("OK: Five Star, version 1, revision ")


def test_the_check_command_prints_the_problems_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "club.yaml"
    path.write_text(TEXT.replace("multiplier: 1.25", "multiplyer: 1.25"), encoding="utf-8")
    line = line_of(TEXT, "code: silver")
    assert check(str(path)) == (
        1,
        f"{path}:{line}: tiers[1].multiplyer: unknown field. Did you mean 'multiplier'?\n",
    )


def test_the_check_command_wants_one_file() -> None:
    assert check() == (2, "usage: python -m programmes.check FILE\n")
