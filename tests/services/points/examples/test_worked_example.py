"""The worked example in docs/ledger.md is what the ledger does."""

from pathlib import Path

from services.points.domain.account import Account, check_balanced
from services.points.domain.deciding import decide
from tests.services.points.examples.worked import POLICY, document, steps

PAGE = Path("docs/ledger.md")


def test_the_page_shows_what_the_ledger_does() -> None:
    _, _, after = PAGE.read_text().partition("<!-- example -->\n")
    shown, _, _ = after.partition("\n<!-- end of example -->")
    assert shown == document()


def test_the_example_shows_a_debt_filled_and_an_expiry() -> None:
    account = Account()
    balances = []
    for _, command in steps():
        for step in decide(account, command, POLICY):
            check_balanced(step.fact)  # type: ignore[arg-type]
            account = step.after
        balances.append(account.balances.get("base", 0))
    assert balances == [0, 30, 30, -10, -10, 0]
    totals = account.totals["base"]
    assert (totals.credited, totals.spent, totals.expired, totals.reversed) == (150, 70, 40, 40)
