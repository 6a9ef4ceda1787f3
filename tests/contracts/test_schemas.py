"""The published contracts are what the code says, and a break is found."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from contracts.compatibility import breaks
from contracts.envelope import Fact, decode_fact, encode_fact
from contracts.points import PointsPosted, Posting
from contracts.schemas import FOLDER, asyncapi, documents, published_breaks, stale
from contracts.topics import ALL_TOPICS, FACT_TYPES


def test_the_committed_schemas_are_what_the_code_says() -> None:
    assert stale() == []


def test_a_changed_schema_file_is_found_stale(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "PointsPosted.v1.json").write_text("{}")
    (tmp_path / "Extra.v1.json").write_text("{}")
    assert stale(tmp_path) == ["Extra.v1.json", "PointsPosted.v1.json"]


def test_the_code_breaks_no_published_schema() -> None:
    assert published_breaks() == []


def test_a_planted_break_of_a_published_schema_is_found(tmp_path: Path) -> None:
    published = documents()["PointsPosted.v1.json"]
    published["properties"]["branch"] = {"type": "string"}
    (tmp_path / "PointsPosted.v1.json").write_text(json.dumps(published))
    (tmp_path / "Gone.v1.json").write_text("{}")
    assert published_breaks(tmp_path) == [
        "Gone.v1.json: $: the fact is gone",
        "PointsPosted.v1.json: $.branch: removed",
    ]


def _published() -> dict[str, Any]:
    return copy.deepcopy(documents()["PointsPosted.v1.json"])


def _removed(new: dict[str, Any]) -> None:
    del new["properties"]["activity_id"]


def _required(new: dict[str, Any]) -> None:
    new["properties"]["till"] = {"type": "string"}
    new["required"].append("till")


def _retyped(new: dict[str, Any]) -> None:
    new["properties"]["reward_seq"]["type"] = "string"


def _fewer_values(new: dict[str, Any]) -> None:
    new["properties"]["kind"]["enum"].remove("return")


def _nested(new: dict[str, Any]) -> None:
    new["$defs"]["Posting"]["properties"]["amount"] = {"type": "string"}


def _not_null(new: dict[str, Any]) -> None:
    new["properties"]["reverses"] = {"type": "string"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_removed, "$.activity_id: removed"),
        (_required, "$.till: newly required, old facts lack it"),
        (_retyped, "$.reward_seq: was integer, is string"),
        (_fewer_values, "$.kind: values no longer allowed: return"),
        (_nested, "$.postings[].amount: was integer, is string"),
        (_not_null, "$.reverses: null no longer allowed"),
    ],
)
def test_a_planted_break_is_named(change: Any, found: str) -> None:
    new = _published()
    change(new)
    assert breaks(_published(), new) == [found]


def test_an_optional_property_and_a_new_value_are_no_break() -> None:
    new = _published()
    new["properties"]["till"] = {"type": "string"}
    new["properties"]["kind"]["enum"].append("expire")
    assert breaks(_published(), new) == []


def test_a_fact_on_the_wire_fits_its_published_schema() -> None:
    posted = PointsPosted(
        entry_id="M1-1",
        member_id="M1",
        kind="earn",
        activity_id="act_x",
        reward_seq=1,
        postings=(Posting("member/base", "base", 5), Posting("issuance/base", "base", -5)),
        balances={"base": 5},
    )
    fact = Fact("account:M1", 1, "reward:1", "PointsPosted", 1, 2, msgspec.Raw(_encode(posted)))
    wire = json.loads(encode_fact(fact))
    jsonschema.validate(wire, documents()["Fact.v1.json"])
    jsonschema.validate(wire["body"], documents()["PointsPosted.v1.json"])
    assert decode_fact(encode_fact(fact)).id == "account:M1/000000000001"


def test_the_asyncapi_document_names_every_topic_and_only_known_messages() -> None:
    document = asyncapi()
    assert set(document["channels"]) == {topic.name for topic in ALL_TOPICS}
    used = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert used == set(document["components"]["messages"]) == set(FACT_TYPES)


def test_every_stream_kind_travels_on_one_topic() -> None:
    kinds = [kind for topic in ALL_TOPICS for kind in topic.stream_kinds]
    assert len(kinds) == len(set(kinds))


def _encode(body: object) -> bytes:
    return msgspec.json.encode(body)
