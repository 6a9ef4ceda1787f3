"""From what the domain decides to facts: their keys, and how they are appended."""

from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from kit.streams import Command, New, Result, Streams
from kit.telemetry import current_traceparent
from services.points.domain import voucher_series as pool
from services.points.domain import vouchers as life
from services.points.domain.voucher_series import Request, Series, Slice
from services.points.domain.vouchers import Voucher
from services.points.vouchers.views import SeriesStreams, VoucherCommand
from services.points.vouchers.wiring import Vouchers

S = TypeVar("S")
C = TypeVar("C")
FRESHENINGS = 5


def digest(*parts: str | int | None) -> bytes:
    """The hash of an input, by which a retry is told from a misuse of its key."""
    return blake2b(msgspec.json.encode(parts), digest_size=16).digest()


async def define(series: SeriesStreams, command: pool.Define, now: int) -> Result:
    """Define or change a series. A version's key is its content and its number."""
    content = blake2b(msgspec.json.encode(command.terms), digest_size=16).hexdigest()
    wanted = _command(command.series_id, content, digest(content), command)
    (result,) = await series.execute([wanted], partial(_define, content, now))
    return result


def _define(content: str, now: int, series: Series, command: pool.Define) -> list[New]:
    return _news(f"{series.version + 1}:{content}", now, pool.define(series, command))


async def act(
    vouchers: Vouchers, voucher_id: str, command: VoucherCommand, *inputs: str | int | None
) -> Result:
    """Do one thing to one voucher. A retry also mends a document that a stop left behind."""
    commands = [(voucher_id, command, digest(*inputs))]
    (result,) = await act_on_all(vouchers, commands, vouchers.clock())
    if result.error is None and (result.repeated or not result.facts):
        await freshen(vouchers.vouchers, [voucher_id])
    return result


async def act_on_all(
    vouchers: Vouchers, commands: Iterable[tuple[str, VoucherCommand, bytes]], at: int
) -> list[Result]:
    """Do something to each of many vouchers, as of ``at``, in one append."""
    wanted = [_command(one, voucher_key(what), hashed, what) for one, what, hashed in commands]
    return await vouchers.vouchers.execute(wanted, partial(_act, at))


def voucher_key(command: VoucherCommand) -> str:
    """The key of the fact a command makes in its voucher's stream."""
    match command:
        case life.Import():
            return "import"
        case life.Issue():
            return "issue"
        case life.Redeem():
            return f"redeem:{command.redemption_id}"
        case life.Undo():
            return f"undo:{command.redemption_id}"
        case life.Cancel():
            return "cancel"
        case life.Expire():
            return "expire"


def _act(at: int, voucher: Voucher, command: VoucherCommand) -> list[New]:
    body = _decided(voucher, command)
    if isinstance(command, life.Expire) and body is not None:
        at = voucher.terms.expires_at or at  # the same however late the duty is
    return _news(voucher_key(command), at, body)


def _decided(voucher: Voucher, command: VoucherCommand) -> Any:
    match command:
        case life.Import():
            return life.import_code(voucher, command)
        case life.Issue():
            return life.issue(voucher, command)
        case life.Redeem():
            return life.redeem(voucher, command)
        case life.Undo():
            return life.undo(voucher, command)
        case life.Cancel():
            return life.cancel(voucher, command)
        case life.Expire():
            return life.expire(voucher, command)


async def take(vouchers: Vouchers, owner: str, command: pool.Take) -> Result:
    """Take a place in a slice, one after the other in this process."""
    issued = command.issued
    return await _budget(vouchers, owner, issued.request, digest(issued.member_id), command)


async def give_back(vouchers: Vouchers, owner: str, command: pool.GiveBack) -> Result:
    """Give back a place that was taken twice; once."""
    request = command.returned.request
    return await _budget(vouchers, owner, f"return:{request}", digest(request), command)


async def _budget(
    vouchers: Vouchers, owner: str, key: str, hashed: bytes, command: pool.Take | pool.GiveBack
) -> Result:
    decide = partial(_budgeted, key, vouchers.clock())
    async with vouchers.lock(owner):
        (result,) = await vouchers.slices.execute([_command(owner, key, hashed, command)], decide)
    return result


def _budgeted(key: str, now: int, slice_: Slice, command: pool.Take | pool.GiveBack) -> list[New]:
    if isinstance(command, pool.Take):
        return _news(key, now, pool.take(slice_, command))
    return _news(key, now, command.returned)


async def choose(vouchers: Vouchers, command: pool.Choose) -> Result:
    """Choose a code for a request."""
    request, voucher_id = command.chosen.request, command.chosen.voucher_id
    wanted = _command(request, voucher_id, digest(voucher_id), command)
    (result,) = await vouchers.requests.execute([wanted], partial(_chosen, vouchers.clock()))
    return result


def _chosen(now: int, request: Request, command: pool.Choose) -> list[New]:
    return _news(command.chosen.voucher_id, now, pool.choose(request, command))


def _command(owner: str, key: str, hashed: bytes, payload: C) -> Command[C]:
    return Command(owner, key, hashed, payload, current_traceparent())


def _news(key: str, at: int, body: Any) -> list[New]:
    return [] if body is None else [New(key, type(body).__name__, at, body)]


async def freshen(streams: Streams[S, C], owners: Sequence[str]) -> None:
    """Make the documents of these owners what their streams say, whoever wrote them last."""
    for _ in range(FRESHENINGS):
        heads = await streams.keep(owners)
        owners = [owner for owner, head in heads.items() if head.snapshot_seq < head.seq]
        if not owners:
            return
