"""``mooring audit``: the head of the audit chain, its export, and its verification.

Exit codes: 0 verified, 1 broken, 2 asked wrongly or the store cannot be reached.
"""

import json
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop

from kit.errors import ServiceError
from kit.settings import SettingsError
from mooring.audit_verify import (
    Malformed,
    Report,
    Verifier,
    described,
    head_text,
    merged,
    parse_head,
    verify_file,
)
from mooring.environment import DEFAULT_DATA, Place

if TYPE_CHECKING:
    from services.points.sealing.wiring import Sealing

app = typer.Typer(
    name="audit",
    help="The audit chain over the ledger: anchor it, export it, verify it.",
    no_args_is_help=True,
)
BROKEN, WRONG = 1, 2
# So many seals of the largest size have some 150 MB of hashes; more are verified in turns.
SEALS_IN_ONE_TURN = 5_000

Data = Annotated[Path, typer.Option(help="The data directory.", envvar="MOORING_DATA")]
Mongo = Annotated[str | None, typer.Option(help="Use this MongoDB: mongodb://…")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def head(as_json: AsJson = False, data: Data = DEFAULT_DATA, mongo: Mongo = None) -> None:
    """Print the head of the chain: keep it where nobody who can write here can."""
    heads = _run(_heads(Place(data=data, mongo=mongo)))
    text = head_text(heads)
    if as_json:
        seals = [{"stream": f"seal:{n}", "seq": s, "hash": h} for n, (s, h) in heads.items()]
        print(json.dumps({"head": text, "seals": seals}))
    else:
        print(text)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new JSON Lines file.")],
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
) -> None:
    """Write the ledger and its seals to a file that an auditor verifies anywhere."""
    if file.exists():
        raise typer.BadParameter(f"{file} is there already")
    print(f"{_run(_export(Place(data=data, mongo=mongo), file)):,} lines in {file}")


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; without it the store.")] = None,
    head: Annotated[
        str | None, typer.Option(help="A head that was kept elsewhere; may be older.")
    ] = None,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
) -> None:
    """Verify the chain, and name the first bad entry. Ends with 0 verified, 1 broken, 2 usage."""
    try:
        if head is not None:
            parse_head(head)
        if file is not None:
            report = verify_file(file, head)
        else:
            report = _run(_verify(Place(data=data, mongo=mongo), head))
    except (OSError, Malformed) as error:
        raise typer.BadParameter(str(error)) from error
    print(json.dumps(_values(report)) if as_json else "\n".join(described(report)))
    raise typer.Exit(0 if report.ok else BROKEN)


@app.command()
def seal(data: Data = DEFAULT_DATA, mongo: Mongo = None) -> None:
    """Seal what no seal covers, as it stands now: a ledger older than its seals, a lost topic."""
    print(f"{_run(_seal(Place(data=data, mongo=mongo))):,} entries sealed that were in no seal")


def _values(report: Report) -> dict[str, Any]:
    findings = [vars(finding) for finding in report.findings]
    return {"ok": report.ok, **vars(report), "findings": findings}


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run; what only says that nothing could be verified must not end as "broken" does."""
    try:
        return uvloop.run(work)
    except (ServiceError, SettingsError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG) from error


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator["Sealing"]:
    from services.points.sealing.wiring import open_sealing  # no other command has a use for it

    chain = open_sealing(place.store())
    try:
        await chain.entries.prepare()
        await chain.prepare()
        yield chain
    finally:
        await chain.store.close()


async def _heads(place: Place) -> dict[int, tuple[int, str]]:
    async with _opened(place) as chain:
        return dict(await chain.heads())


async def _export(place: Place, file: Path) -> int:
    lines = 0
    async with _opened(place) as chain:
        with file.open("xb") as out:
            async for line in chain.export():
                out.write(line + b"\n")
                lines += 1
    return lines


async def _seal(place: Place) -> int:
    async with _opened(place) as chain:
        return await chain.seal_missing()


async def _verify(place: Place, head: str | None) -> Report:
    async with _opened(place) as chain:
        return await verify_live(chain, head)


async def verify_live(chain: "Sealing", head: str | None = None) -> Report:
    """Verify a store as it stands, with the verifier that auditors run on exports."""
    seals = sum(seq for seq, _ in (await chain.heads()).values())
    turns = 1 + seals // SEALS_IN_ONE_TURN
    reports = []
    for turn in range(turns):
        verifier = Verifier(turn, turns)
        async for line in chain.export():
            verifier.feed(line)
        reports.append(verifier.finish(head))
    return merged(reports)
