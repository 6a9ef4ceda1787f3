"""Mistakes of the person at the command line: one sentence that names them, no stack trace."""

import socket
from pathlib import Path

import pytest

from tests.mooring.command import Command, squeezed

MISTAKES: dict[str, tuple[tuple[str, ...], dict[str, str], int, str]] = {
    "no such command": (("fly",), {}, 2, "No such command 'fly'"),
    "no such option": (("verify", "--yaml"), {}, 2, "No such option"),
    "a batch too large": (("replay", "x", "--batch", "1001"), {}, 2, "less than or equal to 1000"),
    "no workers": (("up", "--workers", "0"), {}, 2, "greater than or equal to 1"),
    "no such port": (("up", "--port", "65536"), {}, 2, "less than or equal to 65500"),
    "no date": (("replay", "x", "--until", "soon"), {}, 2, "'soon'"),
    "no role": (("token",), {}, 2, "--role"),
    "another role": (("token", "--role", "king"), {}, 2, "'king' is not one of member, agent"),
    "whose token": (("token", "--role", "member"), {}, 2, "needs the member's id"),
    "no such file": (("replay", "nowhere.jsonl"), {}, 1, "nowhere.jsonl: there is no such file"),
    "no such process": (("run", "poets-api"), {}, 1, "'poets-api' is no process; there are"),
    "nothing to verify": (("verify",), {}, 1, "cannot be reached"),
    "a database that is out": (
        ("verify", "--mongo", "mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=200"),
        {},
        1,
        "cannot be reached",
    ),
    "a topic that is none": (("dead-letters", "members", "x.v1"), {}, 1, "x.v1"),
    "no settings": (("run", "gateway"), {}, 1, "MOORING_EVENTS_URL: is required and missing"),
    "a wrong store": (
        ("run", "points-worker"),
        {"MOORING_STORE_URL": "oracle:x", "MOORING_BUS_URL": "sqlite:x"},
        1,
        "MOORING_STORE_URL: is neither; allowed: sqlite:DIR",
    ),
    "a wrong bus": (
        ("run", "members-worker"),
        {"MOORING_STORE_URL": "sqlite:x", "MOORING_BUS_URL": "rabbit:x"},
        1,
        "MOORING_BUS_URL: 'rabbit:x' is neither",
    ),
    "a wrong port": (
        ("run", "points-worker"),
        {"MOORING_PORT": "http", "MOORING_STORE_URL": "sqlite:x", "MOORING_BUS_URL": "sqlite:x"},
        1,
        "MOORING_PORT: 'http' does not do; allowed: a whole number from 0 to 65535",
    ),
    "a wrong driver": (
        ("indexes",),
        {
            "MOORING_MONGO_DRIVER": "odbc",
            "MOORING_STORE_URL": "sqlite:x",
            "MOORING_BUS_URL": "sqlite:x",
        },
        1,
        "MOORING_MONGO_DRIVER: 'odbc' is not known; allowed: motor, pymongo",
    ),
    "a programme that is not there": (
        ("verify",),
        {"MOORING_PROGRAMME": "nowhere.yaml"},
        1,
        "nowhere.yaml",
    ),
}


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"), MISTAKES.values(), ids=MISTAKES
)
def test_a_mistake_ends_in_a_sentence_that_names_it(
    mooring: Command, arguments: tuple[str, ...], variables: dict[str, str], code: int, words: str
) -> None:
    done = mooring(*arguments, variables=variables)
    assert (done.code, done.out) == (code, "")
    assert squeezed(words) in done.err


PROGRAMME = Path(__file__).parents[2] / "programmes" / "five_star.yaml"


@pytest.mark.parametrize("arguments", [("verify",), ("up", "--no-stay"), ("run", "members-worker")])
def test_a_typo_in_the_programme_is_named_with_file_line_field_and_the_right_word(
    mooring: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    text = PROGRAMME.read_text().replace("    rounding: half_up", "    roundin: half_up")
    typo, place = tmp_path / "typo.yaml", f"sqlite:{tmp_path}"
    typo.write_text(text)
    line = text[: text.index("roundin:")].count("\n") + 1
    names = ("MOORING_PROGRAMME", "MOORING_STORE_URL", "MOORING_BUS_URL")
    values = dict(zip(names, (str(typo), place, place), strict=True))
    done = mooring(*arguments, variables=values)
    assert done.code == 1
    said = f"{typo}:{line}: earning[0].roundin: unknown field. Did you mean 'rounding'?"
    assert squeezed(said) in done.err


def test_a_file_that_is_not_of_activities_is_named_with_its_line(
    mooring: Command, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.jsonl"
    good = b'{"member_id": "M1", "occurred_at": "2025-01-01T00:00:00Z"}'
    wrong.write_bytes(good + b'\n{"member_id": "M1"}\n')
    done = mooring("replay", wrong)
    assert done.code == 1
    assert squeezed(f"{wrong}:2: Object missing required field `occurred_at`") in done.err


def test_a_port_that_is_taken_is_named_with_the_option_that_moves_it(mooring: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = mooring("up", "--no-stay", "--port", port)
    assert (done.code, done.out) == (1, "")
    assert squeezed(f"127.0.0.1:{port} cannot be listened on (Address already in use)") in done.err
    assert "--port" in done.err
