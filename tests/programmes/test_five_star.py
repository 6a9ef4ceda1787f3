"""The default programme says what the domain describes, and stays a page."""

from decimal import Decimal
from pathlib import Path

from programmes.model import load_programme

FIVE_STAR = Path("programmes/five_star.yaml")


def test_the_default_programme_has_three_tiers_in_minor_units() -> None:
    tiers = load_programme(FIVE_STAR).tiers
    assert [(tier.code, tier.spend, tier.multiplier) for tier in tiers] == [
        ("member", 0, Decimal("1")),
        ("silver", 60_000, Decimal("1.25")),
        ("gold", 180_000, Decimal("1.5")),
    ]
    assert tiers[1].name == {"en": "Silver", "zh": "银卡"}


def test_the_default_programme_fits_on_a_page() -> None:
    assert len(FIVE_STAR.read_text(encoding="utf-8").splitlines()) <= 100
