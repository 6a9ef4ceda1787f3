"""The command line of Mooring: one program for a laptop, a cluster and an auditor."""

import json
import os
import sys
from collections.abc import Coroutine, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from rich.console import Console

from kit.auth import ROLES, LocalIssuer
from kit.auth.wiring import local_issuer
from kit.errors import ServiceError
from kit.settings import AuthSettings, SettingsError, reading
from mooring import audit, report
from mooring.environment import DEFAULT_DATA, GATEWAY_PORT, Place

if TYPE_CHECKING:
    from mooring.verify import Report

BROKEN, UNSETTLED = 1, 3  # exit codes of `verify`; 2 is a mistake on the command line
SHOWN_UNSETTLED = 10

app = typer.Typer(
    name="mooring",
    help="A member club and loyalty platform that a brand runs itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app)
app.add_typer(report.app)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Data = Annotated[Path, typer.Option(help="The data directory.", envvar="MOORING_DATA")]
Port = Annotated[int, typer.Option(min=1, max=65_500, help="The gateway's port.")]
Mongo = Annotated[str | None, typer.Option(help="Use this MongoDB: mongodb://…")]
Kafka = Annotated[str | None, typer.Option(help="Use this Kafka: host:port,host:port")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends in one sentence, not in a stack trace."""
    from mooring.replay.activity import ReplayError
    from mooring.settle import NotSettled
    from mooring.up import UpError
    from programmes.model import ProgrammeError

    foreseen = (SettingsError, ProgrammeError, ServiceError, ReplayError, UpError, NotSettled)
    try:
        app(args=arguments)
    except foreseen as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(1)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(work)


def _place(data: Path, port: int, mongo: str | None = None, kafka: str | None = None) -> Place:
    return Place(
        data=data,
        port=port,
        first_api_port=port + 21,
        mongo=mongo,
        kafka=f"kafka://{kafka.removeprefix('kafka://')}" if kafka else None,
    )


@app.command()
def up(
    replay: Annotated[
        str | None, typer.Option(help="Then replay FILE or `completejourney`.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Workers per service.")] = 1,
    stay: Annotated[bool, typer.Option(help="Keep running until interrupted.")] = True,
    data: Data = DEFAULT_DATA,
    port: Port = GATEWAY_PORT,
    mongo: Mongo = None,
    kafka: Kafka = None,
) -> None:
    """Start everything on this machine; embedded unless told otherwise."""
    from mooring.session import run_up

    _run(
        run_up(
            _place(data, port, mongo, kafka),
            out,
            replay=replay,
            until=_day(until),
            workers=workers,
            stay=stay,
        )
    )


@app.command()
def replay(
    what: Annotated[str, typer.Argument(help="A JSON Lines file, or `completejourney`.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only what is before this day.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000)] = 1000,
    mixed: Annotated[
        bool, typer.Option(help="With returns, redemptions, holds and transfers, month by month.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="What --mixed draws from.")] = 1,
    members: Annotated[
        int | None, typer.Option(min=1, help="About so many members, with --mixed.")
    ] = None,
    data: Data = DEFAULT_DATA,
    port: Port = GATEWAY_PORT,
    mongo: Mongo = None,
    kafka: Kafka = None,
) -> None:
    """Replay recorded activities through the public API of a running platform.

    `--mixed` is for a platform that began empty, with a programme whose points have a life
    (MOORING_PROGRAMME=programmes/four_seasons.yaml) and no duties by the wall clock
    (MOORING_DUTIES_SECONDS=0).
    """
    place = _place(data, port, mongo, kafka)
    if mixed:
        from mooring.mixed_year import run_mixed

        if what != "completejourney":
            raise typer.BadParameter("--mixed draws on `completejourney`")
        _run(run_mixed(place, out, seed=seed, members=members, until=_day(until), batch=batch))
        return
    from mooring.session import run_replay

    _run(run_replay(place, out, what, until=_day(until), batch=batch))


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
) -> None:
    """Check the invariants on a live store and print the digest of what it holds.

    Exits with 0 when all holds, 1 when something is broken, 3 when nothing is but work is on its
    way, so that the digest is not the last word.
    """
    from mooring.session import run_verify

    report = _run(run_verify(_place(data, GATEWAY_PORT, mongo)))
    if as_json:
        values = {"ok": report.ok, "digest": report.digest, "lines": report.lines}
        print(json.dumps({**values, "findings": report.findings, "unsettled": report.unsettled}))
    else:
        for finding in report.findings:
            out.print(finding, style="red", markup=False, soft_wrap=True)
        for each in report.unsettled[:SHOWN_UNSETTLED]:
            out.print(each, style="yellow", markup=False, soft_wrap=True)
        if (more := len(report.unsettled) - SHOWN_UNSETTLED) > 0:
            out.print(f"and {more:,} more that are not settled (--json has them)", style="yellow")
        counted = ", ".join(f"{count:,} {kind} lines" for kind, count in report.lines.items())
        out.print(f"{_outcome(report)}; {counted}", soft_wrap=True)
        out.print(f"digest: {report.digest}")
    raise typer.Exit(BROKEN if report.findings else UNSETTLED if report.unsettled else 0)


def _outcome(report: "Report") -> str:
    if report.findings:
        return "BROKEN"
    if report.unsettled:
        return "UNSETTLED: nothing is broken, but work is on its way; verify again once it is done"
    return "every invariant holds"


@app.command()
def rebuild(data: Data = DEFAULT_DATA, mongo: Mongo = None, kafka: Kafka = None) -> None:
    """Drop every view and rebuild it from the journals. Stop the platform first."""
    from mooring.session import run_rebuild

    for service, count in _run(run_rebuild(_place(data, GATEWAY_PORT, mongo, kafka))).items():
        out.print(f"{service}: {count:,} rebuilt")


@app.command()
def tick(
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The business day.")],
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
    kafka: Kafka = None,
) -> None:
    """Do the daily duties of a business day: steps, tiers, points. Again or late is the same."""
    from mooring.session import run_tick

    moved = _run(run_tick(_place(data, GATEWAY_PORT, mongo, kafka), day.date()))
    out.print(f"{moved.members:,} members moved by the end of {day.date()}")
    out.print(f"{moved.accounts:,} accounts had points that opened, vested, expired or came back")


@app.command()
def token(
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")],
    member: Annotated[str | None, typer.Option(help="The member, for role member.")] = None,
    partner: Annotated[str | None, typer.Option(help="The partner, for role partner.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 30)] = 12,
    step_up: Annotated[bool, typer.Option(help="As after a second factor.")] = False,
    data: Data = DEFAULT_DATA,
    port: Port = GATEWAY_PORT,
) -> None:
    """Print a development token, alone: of the issuer that the environment names, else `up`'s."""
    try:
        issuer = _issuer(_place(data, port))
        print(issuer.token(role, member, hours * 3600, partner=partner, step_up=step_up))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _issuer(place: Place) -> LocalIssuer:
    """The issuer of MOORING_DEV_ISSUER_KEY (a container), or that of the place."""
    if os.environ.get("MOORING_DEV_ISSUER_KEY"):
        with reading() as environment:
            configured = local_issuer(AuthSettings.read(environment))
        if configured is not None:
            return configured
    return place.issuer()


@app.command("dead-letters")
def dead_letters(
    group: Annotated[str, typer.Argument(help="The consumer group: members, points or events.")],
    topic: Annotated[str, typer.Argument(help="The topic the messages came on.")],
    redrive: Annotated[bool, typer.Option(help="Send them back, in order.")] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Give this one up for good; repeatable.", metavar="PARTITION:OFFSET"),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, with --drop; it is kept.")] = None,
    by: Annotated[str | None, typer.Option(help="Who drops it; else who is logged in.")] = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="List what was given up.")] = False,
    data: Data = DEFAULT_DATA,
    kafka: Kafka = None,
) -> None:
    """List what a consumer group could not handle, send it back once the cause is mended, or drop
    what can never be handled.
    """
    from mooring import dead_letters as letters

    if sum([redrive, bool(drop), dropped]) > 1:
        raise typer.BadParameter("--redrive, --drop and --dropped are asked for one at a time")
    if bool(drop) != (reason is not None):
        raise typer.BadParameter("--drop needs a --reason, and a --reason needs a --drop")
    if by is not None and not drop:
        raise typer.BadParameter("--by needs a --drop")
    desk = letters.Desk(_place(data, GATEWAY_PORT, kafka=kafka), out, group, topic)
    if drop and reason is not None:
        _run(desk.drop(drop, reason, by))
    else:
        _run(desk.redrive() if redrive else desk.list_dropped() if dropped else desk.list_waiting())


@app.command()
def bench(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all of it here.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="This benchmark; repeatable.")] = None,
    quick: Annotated[bool, typer.Option(help="A tenth of the work.")] = False,
    mongo: Mongo = None,
    kafka: Kafka = None,
) -> None:
    """Measure the platform against limits measured in the same run; on servers for tests only."""
    from mooring.bench.run import BenchError, run_bench

    work = run_bench(
        out, only=only or (), quick=quick, mongo=mongo, kafka=kafka, json_file=json_file
    )
    try:
        _run(work)
    except BenchError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def indexes() -> None:
    """Create topics, collections and indexes, as the environment says; once per release."""
    from kit.settings import BusSettings, StoreSettings, read_programme_path
    from mooring.preparation import prepare

    with reading() as environment:
        store, bus = StoreSettings.read(environment), BusSettings.read(environment)
        programme = read_programme_path(environment)
    _run(prepare(store, bus, programme))


@app.command()
def run(name: Annotated[str, typer.Argument(help="E.g. points-api, points-worker.")]) -> None:
    """Run one process, its settings in the environment: what a container does."""
    from mooring.child import serve
    from mooring.processes import build

    serve([build(name)])


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
