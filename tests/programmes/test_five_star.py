"""The default programme says what the domain describes, and stays a page."""

from decimal import Decimal
from pathlib import Path

import pytest

from programmes.model import Programme, load_programme
from programmes.vocabularies import ACTIVITY, EVIDENCE

FIVE_STAR = Path(__file__).parents[2] / "programmes" / "five_star.yaml"
NO_EVIDENCE = dict.fromkeys(EVIDENCE.types, False)


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(FIVE_STAR)


def test_it_fits_on_a_page() -> None:
    assert len(FIVE_STAR.read_text(encoding="utf-8").splitlines()) <= 100


def test_it_has_three_tiers_in_minor_units(programme: Programme) -> None:
    assert [(tier.code, tier.spend, tier.multiplier) for tier in programme.tiers] == [
        ("member", 0, Decimal("1")),
        ("silver", 60_000, Decimal("1.25")),
        ("gold", 180_000, Decimal("1.5")),
    ]
    assert programme.tiers[1].name == {"en": "Silver", "zh": "银卡"}
    assert programme.tier_window_days == 365


def test_tier_points_cannot_be_spent(programme: Programme) -> None:
    wallets = {wallet.code: wallet.spendable for wallet in programme.wallets}
    assert wallets == {"base": True, "tier": False}


def test_every_purchase_of_some_value_earns_in_both_wallets(programme: Programme) -> None:
    (campaign,) = programme.earning
    assert (campaign.id, campaign.on, campaign.rounding) == ("base", ("purchase",), "half_up")
    assert [
        (award.wallet, award.points_per_unit, award.multiplied_by_tier) for award in campaign.awards
    ] == [("base", Decimal(1), True), ("tier", Decimal(1), False)]
    assert campaign.condition.holds(ACTIVITY.bind({"activity.amount": 0.01})) is True
    assert campaign.condition.holds(ACTIVITY.bind({"activity.amount": 0})) is False


@pytest.mark.parametrize(
    ("stage", "evidence"),
    [
        ("need", set()),
        ("awareness", {"contact"}),
        ("awareness", {"contact", "sustained", "advocacy"}),
        ("acceptance", {"kept_purchase"}),
        ("acceptance", {"kept_purchase", "repeat", "content", "open_complaint"}),
        ("satisfaction", {"kept_purchase", "repeat", "content"}),
        ("satisfaction", {"kept_purchase", "repeat", "content", "sustained"}),
        ("loyalty", {"kept_purchase", "repeat", "content", "sustained", "advocacy"}),
    ],
)
def test_a_member_stands_on_the_highest_step_whose_rules_hold_up_to_it(
    programme: Programme, stage: str, evidence: set[str]
) -> None:
    facts = EVIDENCE.bind(NO_EVIDENCE | dict.fromkeys(evidence, True))
    reached = "none"
    for step in programme.stages:
        if not step.condition.holds(facts):
            break
        reached = step.code
    assert reached == stage


def test_the_parameters_of_the_evidence(programme: Programme) -> None:
    evidence = programme.evidence
    assert evidence.contact.within_days == 90
    assert {"visit", "app_open", "content_view"} <= set(evidence.contact.activities)
    assert "wish" not in evidence.contact.activities
    assert (evidence.sustained.purchases, evidence.sustained.within_days) == (6, 180)
    assert (evidence.advocacy.activities, evidence.advocacy.within_days) == (("share",), 365)
    assert evidence.content.minimum_rating == 4
    assert evidence.repeat.model_dump() == {
        "factor": Decimal("2.0"),
        "default_days": 30,
        "minimum_days": 7,
        "maximum_days": 120,
    }


def test_the_other_parameters(programme: Programme) -> None:
    assert (programme.name, programme.version) == ("Five Star", 1)
    assert (programme.time_zone, programme.currency) == ("America/New_York", "USD")
    assert programme.currency_exponent == 2
    assert programme.decide_within_seconds == 2.0
    assert sum(programme.member_file.completeness.values()) == 100


def test_the_revision_depends_on_the_content_alone(tmp_path: Path, programme: Programme) -> None:
    text = FIVE_STAR.read_text(encoding="utf-8")
    commented = tmp_path / "commented.yaml"
    commented.write_text("# another comment\n" + text, encoding="utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("spend: 600.00", "spend: 600.01"), encoding="utf-8")
    assert load_programme(commented).revision == programme.revision
    assert load_programme(changed).revision != programme.revision
    assert len(programme.revision) == 12


def test_a_programme_cannot_be_changed(programme: Programme) -> None:
    with pytest.raises(ValueError, match="frozen"):
        programme.version = 2
