"""What a programme must satisfy beyond the type of each field, one function a rule.

Each takes a validated value and returns it, or raises a `ValueError` that says the fix. Problems
of a list are raised together, each at its own place, so that one run shows them all.
"""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from kit.rules import RuleError, Vocabulary, compile_condition
from kit.validation_messages import Location, did_you_mean, located, shown
from programmes.vocabularies import STAGES

Value = TypeVar("Value")
Problems = list[tuple[Location, str]]


def exact_number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(f"must be a number, not {shown(value)}")
    return Decimal(value)


def number_of_seconds(value: object) -> float:
    return value if isinstance(value, float) else float(exact_number(value))


def minor_units(value: object, exponent: int) -> int:
    """`600.00` with two digits after the point is 60000; never rounded."""
    minor = exact_number(value).scaleb(exponent)
    if minor != minor.to_integral_value():
        raise ValueError(f"has more than {exponent} digits after the point: {value}")
    return int(minor)


def code(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", text):
        raise ValueError(f"must be a short code such as gold or early_bird, not {shown(text)}")
    return text


def currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError(f"must be a currency code (ISO 4217) such as USD, not {shown(text)}")
    return text


def rule(vocabulary: Vocabulary) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            compile_condition(text, vocabulary)
        except RuleError as error:
            raise ValueError(error.message) from None
        return text

    return check


def not_empty(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values:
        raise ValueError("must not be empty")
    return values


def localised(texts: dict[str, str]) -> dict[str, str]:
    if not texts.get("en"):
        raise ValueError("needs at least the English text, en")
    return texts


def time_zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        raise ValueError(f"unknown time zone {shown(name)}." + _near_zone(name, zones))
    ZoneInfo(name)
    return name


def _near_zone(name: str, zones: set[str]) -> str:
    near = did_you_mean(name, sorted(zones))
    return near if near.startswith(" Did") else " Use a name such as Europe/Paris."


def interval_bounds(repeat: Any) -> Any:
    if not repeat.minimum_days <= repeat.default_days <= repeat.maximum_days:
        raise ValueError("needs minimum_days <= default_days <= maximum_days")
    return repeat


def sums_to_100(weights: dict[str, int]) -> dict[str, int]:
    total = sum(weights.values())
    if total != 100:
        raise ValueError(f"weights must add up to 100, not {total}")
    return weights


def wallets(values: tuple[Any, ...]) -> tuple[Any, ...]:
    problems = _repeated([wallet.code for wallet in values], "code")
    if not any(wallet.spendable for wallet in values):
        problems.append(((), "needs a spendable wallet"))
    return _without(problems, values)


def campaigns(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return _without(_repeated([campaign.id for campaign in values], "id"), values)


def tiers(values: tuple[Any, ...]) -> tuple[Any, ...]:
    problems = _repeated([tier.code for tier in values], "code")
    if not values:
        problems.append(((), "must not be empty"))
    elif values[0].spend != 0:
        problems.append(((0, "spend"), "must be 0, so that every member has a tier"))
    for index in range(1, len(values)):
        if values[index].spend <= values[index - 1].spend:
            message = f"must be more than the spend of '{values[index - 1].code}'"
            problems.append(((index, "spend"), message))
    return _without(problems, values)


def stages(values: tuple[Any, ...]) -> tuple[Any, ...]:
    codes = tuple(stage.code for stage in values)
    problems: Problems = []
    if codes != STAGES:
        problems.append(((), f"must be the five steps in order: {', '.join(STAGES)}"))
    return _without(problems, values)


def days_of_the_year(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        if not re.fullmatch(r"[0-9]{2}-[0-9]{2}", text):
            raise ValueError(f"must be days of the year such as 12-31, not {shown(text)}")
        month, day = map(int, text.split("-"))
        if not (1 <= month <= 12 and 1 <= day <= monthrange(2000, month)[1]):
            raise ValueError(f"there is no such day: {text}")
    return texts


def expiry_says_when(expiry: Any) -> None:
    lasting = bool(expiry.months or expiry.days)
    if expiry.kind == "rolling" and not lasting:
        raise ValueError("rolling needs months or days: how long points are good")
    if expiry.kind == "dates" and not expiry.dates:
        raise ValueError("dates needs dates, such as [06-30, 12-31]")
    if expiry.kind == "sliding" and (not lasting or not expiry.activities):
        raise ValueError("sliding needs activities, and months or days after the last of them")


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    return f"unknown {what} '{name}'." + did_you_mean(name, list(known))


def section(problems: Problems) -> None:
    _without(problems, None)


def known_wallets(programme: Any) -> None:
    codes = [wallet.code for wallet in programme.wallets]
    problems: Problems = []
    for number, campaign in enumerate(programme.earning):
        for index, award in enumerate(campaign.awards):
            if award.wallet not in codes:
                place = ("earning", number, "awards", index, "wallet")
                message = f"unknown wallet '{award.wallet}'." + did_you_mean(award.wallet, codes)
                problems.append((place, message))
    _without(problems, None)


def _repeated(codes: Sequence[str], name: str) -> Problems:
    counts = Counter(codes)
    return [
        ((index, name), f"'{code}' is used more than once")
        for index, code in enumerate(codes)
        if counts[code] > 1
    ]


def _without(problems: Problems, value: Value) -> Value:
    if problems:
        raise located(problems)
    return value
