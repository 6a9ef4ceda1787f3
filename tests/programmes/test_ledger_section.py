"""The section `points` of a programme: what it may say, and what is wrong with it."""

from pathlib import Path

import pytest

from programmes.model import ProgrammeError, load_programme

HERE = Path(__file__).parents[2] / "programmes"
TEXT = (HERE / "five_star.yaml").read_text("utf-8")


def loaded(folder: Path, *lots: str, more: str = "") -> None:
    path = folder / "club.yaml"
    lines = "".join(f"    - {{ {each} }}\n" for each in lots)
    section = f"\npoints:\n{more}" + (f"  lots:\n{lines}" if lots else "")
    path.write_text(TEXT + section, "utf-8")
    load_programme(path)


@pytest.mark.parametrize(
    ("lots", "problem"),
    [
        ("wallet: bass", "points.lots[0].wallet: unknown wallet 'bass'. Did you mean 'base'?"),
        (
            "wallet: base, campaign: bse",
            "points.lots[0].campaign: unknown campaign 'bse'. Did you mean 'base'?",
        ),
        (
            "wallet: base, tier: golden",
            "points.lots[0].tier: unknown tier 'golden'. Did you mean 'gold'?",
        ),
        (
            "wallet: base, expiry: { kind: rolling }",
            "points.lots[0].expiry: rolling needs months or days: how long points are good",
        ),
        (
            'wallet: base, expiry: { kind: dates, dates: ["02-30"] }',
            "points.lots[0].expiry.dates: there is no such day: 02-30",
        ),
        (
            "wallet: base, expiry: { kind: sliding, days: 90 }",
            "points.lots[0].expiry: sliding needs activities, and months or days after the last "
            "of them",
        ),
        (
            "wallet: base, activation: { on: delivered }",
            "points.lots[0]: points that wait for an activity need after_days or an expiry: one "
            "that never comes would leave them waiting for ever",
        ),
        (
            'wallet: base, vesting: { name: v, instalments: 3, months: 1, when: "period.visits" }',
            "points.lots[0].vesting.when: Unknown field 'period.visits'.",
        ),
        (
            'wallet: base, vesting: { name: v, instalments: 3, when: "period.purchases > 0" }',
            "points.lots[0].vesting: needs months or days: how long each instalment takes",
        ),
    ],
)
def test_a_mistake_is_named_with_its_field(tmp_path: Path, lots: str, problem: str) -> None:
    with pytest.raises(ProgrammeError) as caught:
        loaded(tmp_path, lots)
    (line,) = str(caught.value).splitlines()
    assert line.partition(": ")[2].startswith(problem)


def test_two_sliding_rules_have_two_names(tmp_path: Path) -> None:
    one = "wallet: base, expiry: { kind: sliding, days: 90, activities: [purchase] }"
    other = "wallet: base, tier: gold, expiry: { kind: sliding, days: 180, activities: [purchase] }"
    with pytest.raises(ProgrammeError, match=r"points.lots\[1\].expiry.name: 'activity' is the"):
        loaded(tmp_path, one, other)
    loaded(tmp_path, one, other.replace("days: 180", "days: 180, name: gold"))


def test_the_section_may_be_left_out() -> None:
    points = load_programme(HERE / "five_star.yaml").points
    assert (points.lots, points.returns, points.watches) == ((), "unlimited", False)


def test_four_seasons_is_a_programme_whose_lots_depend_on_what_members_do() -> None:
    assert load_programme(HERE / "four_seasons.yaml").points.watches is True


def test_a_days_limit_has_room_for_the_largest_correction_of_one_person(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeError) as caught:
        loaded(tmp_path, more="  adjustments: { alone_up_to: 500, alone_up_to_in_a_day: 499 }\n")
    (line,) = str(caught.value).splitlines()
    assert line.partition(": ")[2] == (
        "points.adjustments.alone_up_to_in_a_day: is less than alone_up_to, 500, so that a "
        "correction of 500 points would always wait: raise it to 500 or more, or lower alone_up_to"
    )
    loaded(tmp_path, more="  adjustments: { alone_up_to: 500, alone_up_to_in_a_day: 500 }\n")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "none", "'5'"])
def test_a_days_limit_is_a_number_of_points_or_left_out(tmp_path: Path, value: str) -> None:
    more = f"  adjustments: {{ alone_up_to: 0, alone_up_to_in_a_day: {value} }}\n"
    with pytest.raises(ProgrammeError, match=r"points.adjustments.alone_up_to_in_a_day: must be"):
        loaded(tmp_path, more=more)


def test_there_is_no_days_limit_unless_a_programme_says_so() -> None:
    adjustments = load_programme(HERE / "five_star.yaml").points.adjustments
    assert (adjustments.alone_up_to, adjustments.alone_up_to_in_a_day) == (1_000, None)


def test_the_section_that_the_default_programme_shows_as_a_comment_can_be_used(
    tmp_path: Path,
) -> None:
    shown = TEXT[TEXT.index("# points:") :].replace("\n# ", "\n").removeprefix("# ")
    path = tmp_path / "club.yaml"
    path.write_text(TEXT[: TEXT.index("# points:")] + shown, "utf-8")
    adjustments = load_programme(path).points.adjustments
    assert (adjustments.alone_up_to, adjustments.alone_up_to_in_a_day) == (1_000, 5_000)
