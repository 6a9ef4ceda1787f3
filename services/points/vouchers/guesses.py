"""Guessing: how many unknown codes a caller has named, and whether it may name another.

Counted in a document for each caller, by compare-and-set, so that all processes count together.
A success costs one point read here and no write.
"""

import msgspec
import structlog

from kit.clock import SECOND
from kit.errors import ServiceError
from kit.views.port import Document
from services.points.vouchers.views import GUESSES
from services.points.vouchers.wiring import Vouchers

_log = structlog.get_logger(__name__)
TRIES = 50


class Guesses(msgspec.Struct, frozen=True):
    """``failures`` since ``since``; nothing is answered before ``blocked_until``. Microseconds."""

    since: int = 0
    failures: int = 0
    blocked_until: int = 0


_decoder = msgspec.json.Decoder(Guesses)


class TooManyGuesses(ServiceError):
    """This caller has named too many codes that do not exist."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "too_many",
            "too_many_guesses",
            "Too many unknown codes: wait, and scan or compare the code before it is sent again",
            retry_after_seconds=seconds,
        )


async def require_patience(vouchers: Vouchers, caller: str) -> None:
    """Raise TooManyGuesses while the caller is blocked."""
    kept, _ = await _load(vouchers, caller)
    _require_unblocked(kept, vouchers.clock())


async def note(vouchers: Vouchers, caller: str, *, unknown: bool) -> None:
    """Note a refused attempt, before it is answered; one that was no guess costs the same write.

    Raises TooManyGuesses when the caller has been blocked meanwhile: of many guesses at once no
    more are answered than of as many one after the other.
    """
    for _ in range(TRIES):
        kept, version = await _load(vouchers, caller)
        now = vouchers.clock()
        _require_unblocked(kept, now)
        after = _counted(vouchers, kept, now, int(unknown))
        body = msgspec.json.encode(after)
        if not await vouchers.views.save(GUESSES, [Document(caller, version, body)]):
            if after.blocked_until > now:
                _log.warning("voucher_guesses_blocked", caller=caller, failures=after.failures)
            return
    raise TooManyGuesses(1)


async def _load(vouchers: Vouchers, caller: str) -> tuple[Guesses, int]:
    document = (await vouchers.views.load(GUESSES, [caller])).get(caller)
    return (_decoder.decode(document.body), document.version) if document else (Guesses(), 0)


def _require_unblocked(kept: Guesses, now: int) -> None:
    if kept.blocked_until > now:
        raise TooManyGuesses(-(-(kept.blocked_until - now) // SECOND))


def _counted(vouchers: Vouchers, kept: Guesses, now: int, failures: int) -> Guesses:
    policy = vouchers.policy
    since = kept.since
    if not kept.blocked_until and now - since < policy.guess_seconds * SECOND:
        failures += kept.failures
    else:  # a new count, after a while or after a block
        since = now
    blocked = failures >= policy.most_guesses
    return Guesses(since, failures, now + policy.block_seconds * SECOND if blocked else 0)
