"""Health: is it up, is it ready for work, has it started?

* live: the process answers, and the ``live`` checks hold (a worker's poll loop turns). Never asks a
  store or the bus: restarting this process does not mend those.
* ready: it has started, it is not draining, and the ``checks`` hold.
* startup: it has started.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from kit.errors import ServiceError

CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """One thing readiness depends on. ``probe`` raises ServiceError when it does not hold."""

    name: str
    probe: Callable[[], Awaitable[None]]


@dataclass
class Health:
    """The state of one process; ``draining`` is set when it has been told to stop."""

    checks: Sequence[Check] = ()
    live_checks: Sequence[Check] = ()
    started: bool = False
    draining: bool = False

    async def readiness(self) -> dict[str, str]:
        """What stands in the way of serving, by name; empty when nothing does."""
        if not self.started:
            return {"process": "has not started yet"}
        if self.draining:
            return {"process": "is draining"}
        return await failures(self.checks)


async def failures(checks: Sequence[Check]) -> dict[str, str]:
    """Run checks at once, each for two seconds at most; the failed ones with their reason."""
    reasons = await asyncio.gather(*(_reason(check) for check in checks))
    return {check.name: reason for check, reason in zip(checks, reasons, strict=True) if reason}


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check.probe()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except ServiceError as error:
        return error.message
    return None


def health_router(health: Health) -> APIRouter:
    """``/health/live``, ``/health/ready``, ``/health/startup`` and ``/metrics``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> Response:
        return _answer(await failures(health.live_checks))

    @router.get("/health/ready")
    async def ready() -> Response:
        return _answer(await health.readiness())

    @router.get("/health/startup")
    async def startup() -> Response:
        return _answer({} if health.started else {"process": "has not started yet"})

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _answer(failed: dict[str, str]) -> Response:
    if failed:
        return JSONResponse({"status": "failing", "failed": failed}, 503)
    return JSONResponse({"status": "ok"})
