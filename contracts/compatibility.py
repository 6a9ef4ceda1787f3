"""Is a new schema able to read everything the old one allowed?

Facts stay in journals for ever, so a change to a fact must keep reading old ones. What may change:
a new optional property, a new value of an enumeration, a wider type, words. Anything else needs a
new fact type or version.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what breaks, as sentences that name the place; empty when nothing does."""
    return list(_compare(old, new, old.get("$defs", {}), new.get("$defs", {}), "$"))


def _compare(
    old: Schema, new: Schema, old_parts: Schema, new_parts: Schema, at: str
) -> Iterator[str]:
    old, new = _resolve(old, old_parts), _resolve(new, new_parts)
    if "anyOf" in old or "anyOf" in new:
        yield from _alternatives(old, new, old_parts, new_parts, at)
        return
    if _kinds(old) - _kinds(new) and _kinds(new):
        yield f"{at}: was {_words(_kinds(old))}, is {_words(_kinds(new))}"
        return
    if "enum" in new:
        gone = set(old.get("enum", ())) - set(new["enum"])
        if gone or "enum" not in old:
            yield f"{at}: values no longer allowed: {_words(gone) or 'anything but the list'}"
    yield from _properties(old, new, old_parts, new_parts, at)
    yield from _items(old, new, old_parts, new_parts, at)


def _properties(
    old: Schema, new: Schema, old_parts: Schema, new_parts: Schema, at: str
) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before.keys() - after.keys():
        yield f"{at}.{name}: removed"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{at}.{name}: newly required, old facts lack it"
    for name in before.keys() & after.keys():
        yield from _compare(before[name], after[name], old_parts, new_parts, f"{at}.{name}")


def _items(
    old: Schema, new: Schema, old_parts: Schema, new_parts: Schema, at: str
) -> Iterator[str]:
    before, after = old.get("prefixItems", []), new.get("prefixItems", [])
    if after and len(before) > len(after):
        yield f"{at}: {len(before) - len(after)} item(s) removed from the end"
    if new.get("minItems", 0) > old.get("minItems", 0):
        yield f"{at}: at least {new['minItems']} items, was {old.get('minItems', 0)}"
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        yield from _compare(one, other, old_parts, new_parts, f"{at}[{place}]")
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _compare(old[key], new[key], old_parts, new_parts, f"{at}[]")


def _alternatives(
    old: Schema, new: Schema, old_parts: Schema, new_parts: Schema, at: str
) -> Iterator[str]:
    """Each old alternative must be readable by some new one."""
    choices = new.get("anyOf", [new])
    for one in old.get("anyOf", [old]):
        if all(list(_compare(one, other, old_parts, new_parts, at)) for other in choices):
            yield f"{at}: {_words(_kinds(_resolve(one, old_parts)))} no longer allowed"


def _resolve(schema: Schema, parts: Schema) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    return parts[name] if name else schema


def _kinds(schema: Schema) -> set[str]:
    kind = schema.get("type", [])
    kinds = {kind} if isinstance(kind, str) else set(kind)
    return kinds | ({"integer"} if "number" in kinds else set())


def _words(values: set[str]) -> str:
    return ", ".join(sorted(str(value) for value in values))
