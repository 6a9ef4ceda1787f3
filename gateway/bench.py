"""What the gateway's hop costs, beside the direct call, a bare hop and nginx.

``python -m gateway.bench`` starts each as a process of its own on loopback (uvloop, httptools, one
worker), loads it with ``wrk`` and prints requests per second, and per second of processor time that
the hop itself used. They take turns, several times, and each shows its best turn, so that what the
machine does meanwhile matters little.
"""

import argparse
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.auth import LocalIssuer

ISSUER, AUDIENCE = "http://bench.local", "mooring"
PATH = "/v1/members/M1/points"
BODY = {
    "member_id": "M1",
    "balances": {"base": 1250, "tier": 1250},
    "as_of": "2026-03-01T09:30:00Z",
}
TURNS = 5
UPSTREAM_VARIABLE = "MOORING_BENCH_UPSTREAM"


def upstream() -> FastAPI:
    """The service behind the hop: one small JSON answer."""
    _collect_rarely()
    app = FastAPI(openapi_url=None)

    @app.get(PATH)
    async def balance() -> dict[str, Any]:
        return BODY

    return app


def bare_hop() -> Starlette:
    """The least a hop can do with the same parts: no token, no limits, nothing looked at."""
    _collect_rarely()
    base, session = os.environ[UPSTREAM_VARIABLE], None

    async def forward(request: Request) -> Response:
        nonlocal session
        session = session or aiohttp.ClientSession(auto_decompress=False)
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        url = base + request.url.path
        async with session.request(request.method, url, headers=headers) as answer:
            kept = {"content-type": answer.headers.get("content-type", "")}
            return Response(await answer.read(), answer.status, kept)

    return Starlette(routes=[Route("/{path:path}", forward)])


def gateway() -> FastAPI:
    """The gateway, as its process runs it."""
    from gateway.app import create_app
    from gateway.settings import read_settings

    app = create_app(read_settings())
    _collect_rarely()
    return app


def _collect_rarely() -> None:
    # As every process of the platform does, and the others here too, to be fair.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def measure(seconds: float = 5.0, connections: int = 32) -> dict[str, Any]:
    """Run all of them, each for so many seconds in all; the report with ratios."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = LocalIssuer.open(folder / "issuer.jwk", ISSUER, AUDIENCE)
        token = issuer.token("agent", ttl_seconds=86_400)
        service, direct = stack.enter_context(_python("upstream", {}))
        environment = _environment(direct, folder)
        hops = {"direct": (service, direct)}
        for name in ("bare_hop", "gateway"):
            hops[name] = stack.enter_context(_python(name, environment))
        if shutil.which("nginx"):
            hops["nginx"] = stack.enter_context(_nginx(direct, folder))
        turns = [
            {
                name: _load(pid, url + PATH, token, seconds / TURNS, connections)
                for name, (pid, url) in hops.items()
            }
            for _ in range(TURNS + 1)
        ]
    return _with_ratios({name: _best([turn[name] for turn in turns[1:]]) for name in hops})


def _best(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    largest = ("per_second", "per_cpu_second")
    return {
        figure: (max if figure in largest else min)(turn[figure] for turn in turns)
        for figure in turns[0]
    }


def _environment(direct: str, folder: Path) -> dict[str, str]:
    return {
        UPSTREAM_VARIABLE: direct,
        "MOORING_OIDC_ISSUER": ISSUER,
        "MOORING_DEV_ISSUER_KEY": str(folder / "issuer.jwk"),
        **{f"MOORING_{name}_URL": direct for name in ("MEMBERS", "POINTS", "EVENTS")},
    }


def _with_ratios(measured: dict[str, dict[str, float]]) -> dict[str, Any]:
    ours = measured["gateway"]
    ratios = {
        f"gateway_to_{name}{suffix}": round(ours[figure] / other[figure], 3)
        for name, other in measured.items()
        if name != "gateway"
        for figure, suffix in (("per_second", ""), ("per_cpu_second", "_per_core"))
    }
    return {"measured": measured, "ratios": ratios}


@contextmanager
def _python(factory: str, environment: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"gateway.bench:{factory}", "--factory"]
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--no-proxy-headers", "--log-level", "warning"]
    with _process([*command, *options, *quiet], {**os.environ, **environment}, port) as pid:
        yield pid, f"http://127.0.0.1:{port}"


@contextmanager
def _nginx(direct: str, folder: Path) -> Iterator[tuple[int, str]]:
    port = _free_port()
    configuration = folder / "nginx.conf"
    server = direct.removeprefix("http://")
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;"
        "events {} http { access_log off;"
        f"upstream service {{ server {server}; keepalive 64; }}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://service;"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } } }'
    )
    with _process(["nginx", "-c", str(configuration)], dict(os.environ), port) as pid:
        yield pid, f"http://127.0.0.1:{port}"


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, env=environment)
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def _load(pid: int, url: str, token: str, seconds: float, connections: int) -> dict[str, float]:
    before = _cpu_seconds(pid)
    output = _wrk(url, token, seconds, connections)
    used = _cpu_seconds(pid) - before
    if "Non-2xx" in output:
        raise RuntimeError(f"{url} answered with errors:\n{output}")
    done = float(re.search(r"(\d+) requests in", output).group(1))  # type: ignore[union-attr]
    return {
        "per_second": round(done / max(1, round(seconds))),
        "per_cpu_second": round(done / used),
        "cpu_us_per_request": round(used / done * 1e6, 1),
        "p50_ms": _percentile(output, "50%"),
        "p99_ms": _percentile(output, "99%"),
    }


def _wrk(url: str, token: str, seconds: float, connections: int) -> str:
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    header = ["-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(
        ["wrk", *options, *header, url], capture_output=True, text=True, check=True
    )
    return done.stdout


def _percentile(output: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", output)
    if found is None:
        return float("nan")
    return float(found.group(1)) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found.group(2)]


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the gateway's hop.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    print(json.dumps(measure(given.seconds, given.connections), indent=2))
