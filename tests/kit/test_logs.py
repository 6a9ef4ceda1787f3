import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import BaseModel

from kit.logs import configure_logging
from kit.telemetry import request_id, span

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[Any]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_private_fields_are_struck_out_however_deep(lines: Any):
    structlog.get_logger("t").info(
        "enrolled",
        member_id="M1",
        email="ada@example.org",
        phone=441234567890,
        first_name="Ada",
        name="Ada Lovelace",
        access_token="abc",
        file={"contacts": [{"e_mail": "ada@example.org", "channel": "app"}], "birthday": "1815"},
    )
    (line,) = lines()
    assert line["member_id"] == "M1"
    assert line["file"] == {
        "contacts": [{"e_mail": "[redacted]", "channel": "app"}],
        "birthday": "[redacted]",
    }
    private = {line[field] for field in ("email", "phone", "first_name", "name", "access_token")}
    assert private == {"[redacted]"}


@pytest.mark.parametrize(
    "text",
    [
        f"got {JWT} here",
        "Authorization: Bearer abcdefgh12345678",
        "mail to ada.lovelace+club@mail.example.org failed",
        "mongodb://app:pa55word@db/mooring is out",
        "call +44 1234 567 890 back",
        "code 7K3M-9QXZ-0D4T-V8WA-PE2C is unknown",
    ],
)
def test_private_texts_are_struck_out_wherever_they_stand(lines: Any, text: str):
    structlog.get_logger("t").warning("it happened", reason=text, items=[text])
    logging.getLogger("kafka").warning("library says: %s", text)
    own, library = lines()
    for line in (own["reason"], own["items"][0], library["event"]):
        assert "[redacted]" in line
        for private in (JWT, "abcdefgh12345678", "ada.lovelace", "pa55word", "1234 567", "7K3M"):
            assert private not in line


def test_numbers_ids_and_times_are_not_taken_for_phone_numbers(lines: Any):
    key = "2026-03-01T09:30:00Z", "0af76519-16cd-43dd-8448-eb211c80319c"
    structlog.get_logger("t").info("ok", seq=1234567890, key=key, route="a-1")
    (line,) = lines()
    assert (line["seq"], line["key"], line["route"]) == (1234567890, list(key), "a-1")


class File(BaseModel):
    age: int


def test_an_exception_is_logged_by_type_and_place_and_a_validation_error_without_its_input(
    lines: Any,
):
    try:
        File.model_validate({"age": "Ada Lovelace"})
    except ValueError:
        structlog.get_logger("t").exception("bad file")
    (line,) = lines()
    assert line["error"]["type"].endswith("ValidationError")
    assert line["error"]["message"] == "age: int_parsing"
    assert "test_logs.py" in line["error"]["at"][0]
    assert "Lovelace" not in json.dumps(line)


def test_a_line_names_its_trace_and_request(lines: Any):
    reset = request_id.set("r-1")
    with span("work", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        structlog.get_logger("t").info("working")
    request_id.reset(reset)
    structlog.get_logger("t").info("idle")
    working, idle = lines()
    assert working["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert working["request_id"] == "r-1"
    assert "trace_id" not in idle
