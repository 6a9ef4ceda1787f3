"""Generate the published contracts: a JSON Schema per fact, and the AsyncAPI document.

``python -m contracts.schemas`` writes ``contracts/schemas/``, unless that would break a published
schema; with ``--check`` it writes nothing and fails when what is committed is not what the code
says.
"""

import json
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from contracts.compatibility import breaks
from contracts.envelope import Fact
from contracts.topics import ALL_TOPICS, FACT_TYPES, Topic

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(fact_type: type) -> dict[str, Any]:
    """Return the JSON Schema of a fact's body (or of the envelope)."""
    _, parts = msgspec.json.schema_components((fact_type,), ref_template="#/$defs/{name}")
    body = parts.pop(fact_type.__name__)
    document = {"$schema": DIALECT, **body}
    if parts:
        document["$defs"] = parts
    for part in (document, *parts.values()):
        if "description" in part:
            part["description"] = cleandoc(part["description"])
    return document


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document: channels, messages and who sends what."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mooring facts",
            "version": "1.0.0",
            "description": "What happened, on Kafka. Topics are keyed by member id, or as their "
            "messages say; facts of one key keep their order. Delivery is at least once: "
            "(stream, seq) tells a repeat.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in ALL_TOPICS},
        "operations": {
            f"publish.{topic.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "summary": f"Published by the {topic.owner} worker.",
            }
            for topic in ALL_TOPICS
        },
        "components": {"messages": {name: _message(name) for name in sorted(FACT_TYPES)}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    names = [fact_type.__name__ for fact_type in topic.carries]
    return {
        "address": topic.name,
        "description": "Compacted: the newest card of each member." if topic.compacted else None,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"]
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(name: str) -> dict[str, Any]:
    summary = (FACT_TYPES[name].__doc__ or "").strip().partition("\n")[0]
    (topic,) = (topic for topic in ALL_TOPICS if FACT_TYPES[name] in topic.carries)
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
        "payload": {
            "allOf": [
                {"$ref": "./Fact.v1.json"},
                {"properties": {"type": {"const": name}, "body": {"$ref": f"./{name}.v1.json"}}},
            ]
        },
    }


def documents() -> dict[str, dict[str, Any]]:
    """Return every published document by file name."""
    files = {f"{name}.v1.json": schema_of(kind) for name, kind in FACT_TYPES.items()}
    return {**files, "Fact.v1.json": schema_of(Fact), "asyncapi.json": _without_none(asyncapi())}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def rendered() -> dict[str, str]:
    """Return the text of each document, as it is committed."""
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents().items()
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of committed documents that differ from the code, missing or left over."""
    expected = rendered()
    committed = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(
        name for name in expected | committed if expected.get(name) != committed.get(name)
    )


def published_breaks(folder: Path = FOLDER) -> list[str]:
    """Return what the code would break in the committed schemas of facts."""
    found = []
    for path in sorted(folder.glob("*.v*.json")):
        old = json.loads(path.read_text("utf-8"))
        new = documents().get(path.name)
        problems = ["$: the fact is gone"] if new is None else breaks(old, new)
        found += [f"{path.name}: {problem}" for problem in problems]
    return found


def main(arguments: list[str]) -> int:
    """Write the documents, or check them."""
    if "--check" in arguments:
        names = stale()
        print("\n".join(names) or "the committed schemas are what the code says")
        return 1 if names else 0
    if problems := published_breaks():
        print("\n".join(problems), "give the fact a new name or version instead", sep="\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
