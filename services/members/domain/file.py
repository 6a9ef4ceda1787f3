"""The member file (客户档案): what a member has told the club, and how complete it is."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace


class Consent(msgspec.Struct, frozen=True):
    """A yes or no to one purpose, and when it was said, in microseconds."""

    granted: bool
    at: int


class MemberFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """Personal data; None (or nothing) where the member has not said. ``birthday`` is ISO 8601."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    birthday: str | None = None
    household: str | None = None
    region: str | None = None
    language: str | None = None
    culture: str | None = None
    education: str | None = None
    interests: tuple[str, ...] = ()
    consents: dict[str, Consent] = msgspec.field(default_factory=dict)


FIELDS = MemberFile.__struct_fields__


def filled(file: MemberFile) -> tuple[str, ...]:
    """The fields the member has filled."""
    return tuple(name for name in FIELDS if getattr(file, name))


def completeness(file: MemberFile, weights: Mapping[str, int]) -> int:
    """The sum of the weights of the filled fields; weights add up to 100."""
    return sum(weights.get(name, 0) for name in filled(file))


def missing(file: MemberFile, weights: Mapping[str, int]) -> dict[str, int]:
    """What each field still empty would add, the most first."""
    there = set(filled(file))
    open_fields = {name: weight for name, weight in weights.items() if name not in there}
    return dict(sorted(open_fields.items(), key=lambda item: -item[1]))


def changed(file: MemberFile, wanted: Mapping[str, Any], now: int) -> MemberFile:
    """The file with the given fields set, None clearing; consents are set one purpose at a time.

    A consent that stays what it was keeps the time at which it was given.
    """
    values = dict(wanted)
    if "consents" in values:
        values["consents"] = _consents(file.consents, values["consents"], now)
    if "interests" in values:
        values["interests"] = tuple(values["interests"] or ())
    return replace(file, **values)


def _consents(
    known: Mapping[str, Consent], wanted: Mapping[str, bool | None] | None, now: int
) -> dict[str, Consent]:
    if wanted is None:
        return {}
    consents = dict(known)
    for purpose, granted in wanted.items():
        before = consents.get(purpose)
        if granted is None:
            consents.pop(purpose, None)
        elif before is None or before.granted != granted:
            consents[purpose] = Consent(granted, now)
    return consents


def differences(before: MemberFile, after: MemberFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that now have another value, and those that no longer have one."""
    different = [name for name in FIELDS if getattr(before, name) != getattr(after, name)]
    set_ = tuple(name for name in different if getattr(after, name))
    return set_, tuple(name for name in different if not getattr(after, name))


def searchable(file: MemberFile) -> dict[str, str | int | None]:
    """The keys a member is found by: case, and how a number is written, do not matter."""
    return {
        "name": search_key("name", file.name),
        "email": search_key("email", file.email),
        "phone": search_key("phone", file.phone),
    }


def search_key(field: str, text: str | None) -> str | None:
    """A text as it is compared in a search on ``field``."""
    if text is None:
        return None
    if field == "phone":
        return "".join(sign for sign in text if sign.isdigit() or sign == "+")
    return " ".join(text.split()).casefold()
