"""What the tests' programme says about reports."""

from fractions import Fraction

from services.points.reports.documents import Terms
from tests.services.points.reports.histories import ZONE

TERMS = Terms(ZONE, "USD", Fraction(1, 2), 150, {"base": True, "tier": False})
