"""``mooring audit``: its words, its exit codes, and the verifier on its own."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mooring import audit, audit_verify
from services.points.sealing.wiring import open_sealing
from tests.services.points.sealing.conftest import opened_books, opened_bus, small_export
from tests.services.starting import store_settings

Audit = Callable[..., Result]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small sealed ledger."""
    place = tmp_path_factory.mktemp("data")

    async def fill() -> None:
        store = open_sealing(store_settings(place)).store
        async with opened_bus(place) as bus:
            await small_export(await opened_books(store, bus))
        await store.close()

    asyncio.run(fill())
    return place


@pytest.fixture
def mooring(data: Path) -> Audit:
    """Runs ``mooring audit …`` on that directory."""

    def run(*arguments: object) -> Result:
        variables = {"MOORING_DATA": str(data)}
        return CliRunner().invoke(audit.app, [str(each) for each in arguments], env=variables)

    return run


@pytest.fixture
def export(mooring: Audit, tmp_path: Path) -> Path:
    file = tmp_path / "ledger.jsonl"
    written = mooring("export", file)
    assert (written.exit_code, written.stdout) == (0, f"55 lines in {file}\n")
    return file


def test_the_head_is_one_line_and_in_json_names_every_seal(mooring: Audit) -> None:
    text = mooring("head").stdout.strip()
    places, digest = audit_verify.parse_head(text)
    assert places == {0: 3, 1: 3, 2: 3, 3: 3}
    said = json.loads(mooring("head", "--json").stdout)
    assert said["head"] == text
    assert said["head"].endswith(digest)
    seals = {int(seal["stream"][5:]): (seal["seq"], seal["hash"]) for seal in said["seals"]}
    assert audit_verify.head_text(seals) == text


def test_a_store_and_its_export_verify_with_the_head(mooring: Audit, export: Path) -> None:
    head = mooring("head").stdout.strip()
    for what in ([], [export]):
        done = mooring("verify", *what, "--head", head)
        assert done.exit_code == 0
        assert done.stdout.splitlines() == [
            "41 entries in 8 streams, 40 of them as they were sealed by 12 seals",
            "1 not yet sealed, the oldest posted at 1767225600000016 microseconds: "
            "account:M1 seq 6",
            f"head: {head}",
            "verified",
        ]
    report = json.loads(mooring("verify", export, "--json").stdout)
    assert (report["ok"], report["sealed"], report["unsealed"]) == (True, 40, 1)
    assert report["findings"] == []


def test_a_broken_export_names_the_first_bad_entry_and_ends_with_1(
    mooring: Audit, export: Path
) -> None:
    text = export.read_text().replace('"amount":200', '"amount":999', 1)
    export.write_text(text)
    done = mooring("verify", export)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == (
        "BROKEN account:M1 seq 2: is not the entry that was sealed: it was changed (line 15)"
    )
    finding = json.loads(mooring("verify", export, "--json").stdout)["findings"][0]
    assert (finding["stream"], finding["seq"], finding["line"]) == ("account:M1", 2, 15)


@pytest.mark.parametrize("head", ["", "abc", "0=1:" + "g" * 64, "0=x:" + "0" * 64])
def test_what_is_asked_wrongly_ends_with_2(mooring: Audit, export: Path, head: str) -> None:
    assert mooring("verify", export, "--head", head).exit_code == 2
    assert mooring("verify", "--head", head).exit_code == 2
    assert mooring("verify", export.with_name("nowhere")).exit_code == 2
    assert mooring("export", export).exit_code == 2


def test_a_store_that_cannot_be_reached_is_not_called_broken(mooring: Audit) -> None:
    address = "mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=50"
    done = mooring("verify", "--mongo", address)
    assert done.exit_code == 2
    assert "BROKEN" not in done.output


def test_the_verifier_runs_alone_on_the_standard_library(export: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "audit_verify.py"
    alone.parent.mkdir()
    alone.write_bytes(Path(audit_verify.__file__).read_bytes())

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(alone), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=alone.parent, check=False
        )

    good = run(export)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "verified")
    head = good.stdout.splitlines()[-2].removeprefix("head: ")
    assert run(export, "--head", head).returncode == 0
    assert run(export, "--head", "1" * 64).returncode == 1
    export.write_bytes(export.read_bytes()[:-300])
    broken = run(export)
    assert (broken.returncode, broken.stdout.splitlines()[-1]) == (1, "BROKEN")
    assert run().returncode == run(export, "--head", "x").returncode == 2
    assert run(export.with_name("nowhere")).returncode == 2


def test_what_is_in_no_seal_is_sealed_when_asked(
    mooring: Audit, data: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(data, older)
    for seals in older.glob("points.seals.*"):
        seals.unlink()
    for chains in older.glob("points.views.*"):
        chains.unlink()
    said = mooring("seal", "--data", older).stdout
    assert said == "41 entries sealed that were in no seal\n"
    assert mooring("verify", "--data", older).stdout.splitlines()[-1] == "verified"
    assert mooring("seal", "--data", older).stdout.startswith("0 entries")


def test_a_file_that_is_read_in_turns_gives_the_same_report(export: Path) -> None:
    assert audit_verify.verify_file(export, turns=3) == audit_verify.verify_file(export)
