"""Runs installation steps: as root where needed, with a time limit, with their output kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


class ServerError(RuntimeError):
    """A server could not be obtained, started or controlled."""


def find(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


def elevated(command: list[str]) -> list[str]:
    """The command as root: unchanged for root, through sudo for others."""
    if os.geteuid() == 0:
        return command
    if find("sudo") is None:
        raise ServerError(
            "The document database needs root (or sudo) for its own root folder. Either run as "
            "root, or point MOORING_TEST_MONGO_URL and MOORING_TEST_KAFKA at servers of yours."
        )
    # sudo drops the environment, which may say where the registries are.
    kept = [f"{name}={value}" for name, value in os.environ.items() if _is_kept(name)]
    return ["sudo", "-n", "env", f"PATH={SYSTEM_PATH}", *kept, *command]


def _is_kept(name: str) -> bool:
    return name.lower().endswith("_proxy") or name.startswith(("GO", "SSL_CERT_"))


def run(
    command: list[str],
    *,
    timeout_seconds: int,
    log: Path | None = None,
    root: bool = False,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run one step to its end and return its output; a failure names the step and its last lines.

    `timeout` ends the whole process group, also where it belongs to root and we do not.
    """
    limited = ["timeout", "-k", "10", str(timeout_seconds), *command]
    full = elevated(limited) if root else limited
    started = time.monotonic()
    done = subprocess.run(
        full,
        cwd=folder,
        env={**os.environ, "PATH": SYSTEM_PATH, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    elapsed = time.monotonic() - started
    if log is not None:
        with log.open("a") as out:
            out.write(f"$ {' '.join(command)}\n{done.stdout}")
            out.write(f"[{done.returncode}, {elapsed:.1f} s]\n")
    if done.returncode != 0:
        reason = "took too long" if done.returncode in (124, 137) else f"ended {done.returncode}"
        raise ServerError(f"{command[0]} {reason} (log: {log}):\n{last_lines(done.stdout)}")
    return done.stdout


def last_lines(text: str, count: int = 20) -> str:
    return "\n".join("    " + line for line in text.splitlines()[-count:])
