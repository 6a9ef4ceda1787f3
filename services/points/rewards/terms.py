"""What of the programme a reward may speak of, and whether it does: checked when it is saved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from contracts.catalogue import RewardDefined
from kit.errors import ServiceError
from kit.rules import RuleError, compile_condition
from programmes.model import Programme
from programmes.vocabularies import MEMBER

Problem = dict[str, str]


@dataclass(frozen=True, slots=True)
class Terms:
    """The wallets that points may be spent from, the tiers, and what rules compare them with."""

    wallets: tuple[str, ...]
    tiers: tuple[str, ...]
    currency: str


def terms_of(programme: Programme) -> Terms:
    """The terms of a programme."""
    wallets = tuple(wallet.code for wallet in programme.wallets if wallet.spendable)
    tiers = tuple(tier.code for tier in programme.tiers)
    return Terms(wallets, tiers, programme.currency)


def check(content: RewardDefined, terms: Terms) -> None:
    """Raise ServiceError ``invalid`` naming every field that does not fit the programme."""
    errors = [
        *_prices(content, terms),
        *_early_access(content, terms),
        *_eligibility(content),
    ]
    if errors:
        names = ", ".join(error["field"] for error in errors)
        raise ServiceError(
            "invalid", "invalid_reward", f"This does not fit the programme: {names}.", errors=errors
        )


def _prices(content: RewardDefined, terms: Terms) -> Iterator[Problem]:
    for place, price in enumerate(content.prices):
        if price.wallet not in terms.wallets:
            message = f"{price.wallet!r} is no wallet that points are spent from"
            yield _problem(f"prices[{place}].wallet", message, price.wallet, terms.wallets)


def _early_access(content: RewardDefined, terms: Terms) -> Iterator[Problem]:
    for place, early in enumerate(content.early_access):
        if early.tier not in terms.tiers:
            message = f"{early.tier!r} is no tier of the programme"
            yield _problem(f"early_access[{place}].tier", message, early.tier, terms.tiers)


def _eligibility(content: RewardDefined) -> Iterator[Problem]:
    if content.eligibility is None:
        return
    try:
        compile_condition(content.eligibility, MEMBER)
    except RuleError as error:
        fix = 'Write a rule on the member card, e.g. member.tier == "gold".'
        yield {"field": "eligibility", "message": error.message, "fix": fix}


def _problem(field: str, message: str, given: str, known: Sequence[str]) -> Problem:
    near = get_close_matches(given, known, n=1)
    fix = f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(known)}."
    return {"field": field, "message": message, "fix": fix}
