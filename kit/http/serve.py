"""Running an app under uvicorn, and leaving in the right order when told to stop.

SIGTERM: readiness turns false and serving goes on for ``drain_seconds``, so that the balancer sends
no more; then uvicorn stops listening, finishes what is under way and ends the lifespan. A second
signal, or SIGINT, skips the wait.
"""

import asyncio
import signal
from types import FrameType

import uvicorn
from fastapi import FastAPI

from kit.logs import configure_logging
from kit.settings import HttpSettings

KEEP_ALIVE_SECONDS = 75
FINISH_SECONDS = 30


class DrainingServer(uvicorn.Server):
    """uvicorn, draining before it stops."""

    def __init__(self, app: FastAPI, settings: HttpSettings) -> None:
        super().__init__(server_config(app, settings))
        self._health = app.state.health
        self._drain_seconds = settings.drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once, or drain first."""
        again, self._health.draining = self._health.draining, True
        if again or sig == signal.SIGINT or not self._drain_seconds or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._loop.call_soon_threadsafe(
            self._loop.call_later, self._drain_seconds, super().handle_exit, sig, frame
        )


def server_config(app: FastAPI, settings: HttpSettings) -> uvicorn.Config:
    """uvicorn as every process runs it: uvloop, httptools, no access log.

    Idle connections are kept longer than any client of ours keeps them, so that a client never
    sends into a connection that is just being closed.
    """
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )


async def serve(app: FastAPI, settings: HttpSettings) -> None:
    """Serve until told to stop, logging JSON lines to stderr."""
    configure_logging(settings.log_level)
    await DrainingServer(app, settings).serve()
