"""The command line as an operator uses it, from `up` to `verify`, on real files."""

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from kit.bus.port import Message
from kit.bus.sqlite import SqliteBus
from mooring.environment import Place
from tests.journeys.generated import activities, encoded
from tests.journeys.running import free_ports
from tests.mooring.command import Command

MEMBERS = 12
RECORDED = encoded(activities(seed=2, members=MEMBERS))
OFFSETS = (0, 21, 22, 23)  # the gateway's port, and where `up` puts the APIs
HERE = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")} | {"COLUMNS": "500"}
PROGRAM = (sys.executable, "-m", "mooring")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of activities, one a line."""
    path = tmp_path_factory.mktemp("recorded") / "activities.jsonl"
    path.write_bytes(b"\n".join(text for _, _, text in RECORDED))
    return path


@dataclass(frozen=True)
class Filled:
    """A data directory after ``mooring up --no-stay --replay``, and what that said."""

    data: Path
    port: int
    said: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, recorded: Path) -> Filled:
    """A platform that was started, filled and stopped."""
    data = tmp_path_factory.mktemp("up") / "data"
    port, *_ = free_ports(OFFSETS)
    command = [*PROGRAM, "up", "--no-stay", "--replay", recorded, "--data", data]
    said = subprocess.run(
        [*command, "--port", str(port)], capture_output=True, text=True, env=HERE, check=False
    )
    return Filled(data, port, said)


def verified(mooring: Command, data: Path) -> dict[str, object]:
    """What ``verify --json`` says of a data directory that must be in order."""
    done = mooring("verify", "--json", "--data", data)
    assert (done.code, done.err) == (0, "")
    report: dict[str, object] = json.loads(done.out)
    assert report["ok"] is True
    assert report["findings"] == []
    return report


def test_up_replays_a_file_says_where_things_are_and_leaves_no_process(filled: Filled) -> None:
    said = filled.said
    # Some returns of too much are among the activities: they are refused, and said to be.
    assert said.returncode == 1
    assert "activities were refused: More would come back than is left" in said.stderr
    assert f"Mooring is up at http://127.0.0.1:{filled.port}" in said.stdout
    assert re.search(rf"activities\W+{len(RECORDED)}\b", said.stdout)
    assert re.search(r"members of tier gold\W+\d", said.stdout)
    with pytest.raises(URLError):
        urlopen(f"http://127.0.0.1:{filled.port}/health/live", timeout=2)


def test_verify_says_the_same_in_words_and_in_json(filled: Filled, mooring: Command) -> None:
    report = verified(mooring, filled.data)
    words = mooring("verify", "--data", filled.data)
    assert words.code == 0
    assert f"digest: {report['digest']}" in words.out
    assert words.out.startswith("every invariant holds; 12 member lines, ")
    assert re.fullmatch("[0-9a-f]{64}", str(report["digest"]))
    assert report["lines"]["member"] == MEMBERS  # type: ignore[index]


def test_rebuild_makes_every_view_anew_and_the_digest_stays(
    filled: Filled, mooring: Command
) -> None:
    before = verified(mooring, filled.data)
    done = mooring("rebuild", "--data", filled.data)
    assert done.code == 0
    assert "members: 12 rebuilt" in done.out
    assert {"members", "points", "events"} <= {
        line.partition(":")[0] for line in done.out.splitlines()
    }
    assert verified(mooring, filled.data) == before


def test_verify_names_what_does_not_hold(filled: Filled, mooring: Command, tmp_path: Path) -> None:
    data = tmp_path / "tampered"
    shutil.copytree(filled.data, data)
    with closing(sqlite3.connect(data / "points.entries.journal.db")) as file, file:
        [(place, text)] = file.execute(
            "SELECT rowid, CAST(body AS TEXT) FROM facts WHERE CAST(body AS TEXT) LIKE '%earn%'"
            " LIMIT 1"
        )
        wrong = re.sub(r'"amount":(\d+)', r'"amount":\g<1>1', text, count=1)
        file.execute("UPDATE facts SET body = ? WHERE rowid = ?", (wrong.encode(), place))
    words = mooring("verify", "--data", data)
    done = mooring("verify", "--json", "--data", data)
    report = json.loads(done.out)
    assert (done.code, words.code, report["ok"]) == (1, 1, False)
    assert any("postings sum to" in finding for finding in report["findings"])
    assert "BROKEN" in words.out
    assert "postings sum to" in words.out


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A platform that ``mooring up`` keeps running until it is interrupted."""
    data = tmp_path_factory.mktemp("standing") / "data"
    port, *_ = free_ports(OFFSETS)
    log = data.parent / "up.log"
    command = [*PROGRAM, "up", "--data", str(data), "--port", str(port)]
    with log.open("w") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, env=HERE)
    deadline = time.monotonic() + 60
    while "/v1/me/home" not in log.read_text():
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield Place(data, port=port)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_replay_fills_a_running_platform_and_again_changes_nothing(
    standing: Place, recorded: Path, mooring: Command
) -> None:
    where = ("--until", "2024-09-01", "--data", standing.data, "--port", standing.port)
    first = mooring("replay", recorded, "--batch", 50, *where)
    report = verified(mooring, standing.data)
    second = mooring("replay", recorded, *where)
    before = sum(at.isoformat() < "2024-09-01" for _, at, _ in RECORDED)

    assert 0 < before < len(RECORDED)
    assert re.search(rf"activities\W+{before}\b", first.out)
    assert re.search(r"of them new\W+[1-9]", first.out)
    assert re.search(r"of them new\W+0\b", second.out)
    assert verified(mooring, standing.data) == report


def test_the_token_that_is_printed_opens_the_door(standing: Place, mooring: Command) -> None:
    where = ("--data", standing.data, "--port", standing.port)
    token = mooring("token", "--role", "member", "--member", "newcomer", *where)
    assert (token.code, token.err, token.out.count("\n")) == (0, "", 1)
    enrolling = Request(
        f"{standing.address}/v1/members",
        data=b'{"channel": "app"}',
        headers={
            "authorization": f"Bearer {token.out.strip()}",
            "content-type": "application/json",
        },
    )
    with urlopen(enrolling, timeout=10) as answer:
        assert json.load(answer)["member_id"] == "newcomer"


def test_a_token_may_stand_for_a_second_factor(standing: Place, mooring: Command) -> None:
    where = ("--member", "M1", "--data", standing.data, "--port", standing.port)
    plain = mooring("token", "--role", "member", *where).out
    stepped_up = mooring("token", "--role", "member", "--step-up", *where).out
    claims = [
        json.loads(urlsafe_b64decode(token.split(".")[1] + "==")) for token in (plain, stepped_up)
    ]
    assert [each.get("acr") for each in claims] == [None, "step_up"]


def test_a_partners_token_says_which_partner(standing: Place, mooring: Command) -> None:
    where = ("--data", standing.data, "--port", standing.port)
    token = mooring("token", "--role", "partner", "--partner", "pos", *where).out
    claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["roles"], claims["partner"]) == (["partner"], "pos")


def test_what_cannot_be_handled_is_listed_and_sent_back(standing: Place, mooring: Command) -> None:
    async def poison() -> None:
        bus = SqliteBus(standing.data / "bus")
        await bus.publish([Message("events.activities.v1", "g-001", b"noise")])
        await bus.close()

    where = ("--data", standing.data)
    none = mooring("dead-letters", "points", "events.rewards.v1", *where)
    assert none.out == "0 dead letters of points on events.rewards.v1\n"
    asyncio.run(poison())
    listing = ("dead-letters", "members", "events.activities.v1", *where)
    deadline = time.monotonic() + 30
    while "1 dead letters of members" not in (done := mooring(*listing)).out:
        assert time.monotonic() < deadline, done
    assert "g-001: not an envelope" in done.out
    assert mooring(*listing, "--redrive").out == "1 sent back\n"
