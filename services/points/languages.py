"""What a caller prefers, as HTTP says it: a language, a media type (RFC 9110, 12.5)."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request

from services.points.domain.phrases import LANGUAGES, Language

MOST_PREFERENCES = 20


def preferences(header: str) -> list[tuple[str, float]]:
    """The values of an Accept header in lower case, each with its weight; bad weights are 0."""
    found = []
    for part in header.split(",")[:MOST_PREFERENCES]:
        value, *parameters = (each.strip().lower() for each in part.split(";"))
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        found.append((value, _weight(weights)))
    return found


def _weight(written: Sequence[str]) -> float:
    if not written:
        return 1.0
    try:
        weight = float(written[0])
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def preferred_language(header: str) -> Language:
    """The language of ours that a caller likes best; English when they like none of them.

    Any Chinese is taken for ours, so ``zh-TW`` and ``zh-Hant`` read simplified characters.
    """
    weights: dict[Language, float] = {}
    for value, weight in preferences(header):
        for language in LANGUAGES:
            if value.partition("-")[0] == language:
                weights[language] = max(weight, weights.get(language, 0.0))
    best = max(weights.values(), default=0.0)
    return next((each for each, weight in weights.items() if best and weight == best), "en")


def prefers_html(header: str) -> bool:
    """Whether a caller names HTML, and likes JSON less; who takes anything gets JSON."""
    weights = dict(preferences(header))
    html = max(weights.get("text/html", 0.0), weights.get("application/xhtml+xml", 0.0))
    return html > max(weights.get("application/json", 0.0), 0.0)


def _language(
    request: Request,
    language: Annotated[
        Language | None,
        Query(description="Of the words; left out: what `Accept-Language` asks for, else English."),
    ] = None,
) -> Language:
    return language or preferred_language(request.headers.get("accept-language", ""))


Spoken = Annotated[Language, Depends(_language)]
"""The language an answer is written in."""
