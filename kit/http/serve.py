"""How every process of the platform runs uvicorn."""

import uvicorn
from fastapi import FastAPI

from kit.settings import HttpSettings

KEEP_ALIVE_SECONDS = 75
FINISH_SECONDS = 30


def server_config(app: FastAPI, settings: HttpSettings) -> uvicorn.Config:
    """uvloop, httptools, no access log; logging is configured by the process.

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
        proxy_headers=False,  # what a caller says about its own address is not believed
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
