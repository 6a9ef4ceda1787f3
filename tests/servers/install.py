"""Obtains the servers once and keeps them in a cache folder.

Each component is a folder with a `.complete` marker that holds its recipe; a folder without it,
or with another recipe, is made anew, so a half-made cache mends itself.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.shell import ServerError, find, run

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
DEBIAN_SUITE = "sid"  # the only suite that carries postgresql-18-documentdb
DEBIAN_PACKAGES = "postgresql-18-documentdb,ca-certificates"
FERRETDB = "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@v2.7.0"
GO_NEEDED = (1, 25)
# $0 is the root folder, the rest is the command. Go finds itself through /proc, and trusts whom
# this machine trusts.
ENTER = """\
mount -t proc proc "$0/proc"
[ ! -d /etc/ssl/certs ] || mount --bind /etc/ssl/certs "$0/etc/ssl/certs"
exec chroot "$0" "$@"
"""
PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")

# What each program's Debian package is called.
PACKAGES = {
    "debootstrap": "debootstrap",
    "java": "default-jre-headless",
    "mvn": "maven",
    "unshare": "util-linux",
}


@dataclass(frozen=True)
class Cache:
    root: Path

    @property
    def kafka_libraries(self) -> Path:
        return self.root / "kafka" / "libs"

    @property
    def ferretdb(self) -> Path:
        return self.root / "ferretdb" / "ferretdb"

    @property
    def debian(self) -> Path:
        return self.root / "documentdb" / "root"


def cache() -> Cache:
    default = HERE.parent.parent / ".cache" / "servers"
    return Cache(Path(os.environ.get("MOORING_SERVER_CACHE") or default).resolve())


def install(say: Callable[[str], None] = print) -> Cache:
    """Obtain whatever is missing. Safe to call from several processes at once."""
    target = cache()
    target.root.mkdir(parents=True, exist_ok=True)
    with _alone(target.root / ".lock"):
        _install_programs(target, say)
        with ThreadPoolExecutor(max_workers=2) as pool:
            documents = pool.submit(_documentdb, target, say)
            if _host_go_is_enough():
                pool.submit(_ferretdb_by_host, target, say).result()
            _kafka(target, say)
            documents.result()
        _ferretdb_by_debian(target, say)
    return target


def require_installed() -> Cache:
    target = cache()
    names = ("kafka", "documentdb", "ferretdb")
    missing = [name for name in names if not (target.root / name / ".complete").exists()]
    if missing:
        raise ServerError(
            f"No {', '.join(missing)} in {target.root}. Run `python -m tests.servers install` "
            "(`make test-connected` does), or set MOORING_TEST_MONGO_URL and MOORING_TEST_KAFKA."
        )
    return target


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _component(
    target: Cache,
    name: str,
    recipe: str,
    make: Callable[[Path, Path], None],
    say: Callable[[str], None],
) -> None:
    folder, log = target.root / name, target.root / f"{name}.log"
    marker = folder / ".complete"
    if marker.exists() and marker.read_text() == recipe:
        return
    started = time.monotonic()
    log.unlink(missing_ok=True)
    try:
        _make_anew(folder, log, make)
    except ServerError as error:
        say(f"{name}: once more, because {error}")
        _make_anew(folder, log, make)
    marker.write_text(recipe)
    say(f"{name}: obtained in {time.monotonic() - started:.0f} s")


def _make_anew(folder: Path, log: Path, make: Callable[[Path, Path], None]) -> None:
    if folder.exists():
        root = folder.stat().st_uid == 0 or (folder / "root").exists()
        run(
            ["rm", "-rf", "--one-file-system", str(folder)], log=log, timeout_seconds=120, root=root
        )
    folder.mkdir(parents=True)
    make(folder, log)


def _install_programs(target: Cache, say: Callable[[str], None]) -> None:
    missing = [PACKAGES[program] for program in PACKAGES if find(program) is None]
    if not missing:
        return
    if find("apt-get") is None:
        raise ServerError(
            f"Please install {', '.join(missing)}: there is no apt-get here to do it."
        )
    say(f"installing {', '.join(missing)}")
    log = target.root / "programs.log"
    apt = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=120",
    ]
    run([*apt, "update"], log=log, timeout_seconds=180, root=True)
    run(
        [*apt, "install", "-y", "--no-install-recommends", *missing],
        log=log,
        timeout_seconds=600,
        root=True,
    )


def _kafka(target: Cache, say: Callable[[str], None]) -> None:
    def make(folder: Path, log: Path) -> None:
        shutil.copy(POM, folder)
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command.append("-DoutputDirectory=libs")
        run(command, log=log, timeout_seconds=300, folder=folder)

    _component(target, "kafka", POM.read_text(), make, say)


def _documentdb(target: Cache, say: Callable[[str], None]) -> None:
    def make(folder: Path, log: Path) -> None:
        debian = folder / "root"
        # In a mount namespace of its own, an interrupted debootstrap leaves no mount behind.
        include = f"--include={DEBIAN_PACKAGES}"
        build = [
            "debootstrap",
            "--variant=minbase",
            include,
            DEBIAN_SUITE,
            str(debian),
            _mirror(log),
        ]
        run([*PRIVATE_MOUNTS, *build], log=log, timeout_seconds=600, root=True)
        run(["chroot", str(debian), "apt-get", "clean"], log=log, timeout_seconds=60, root=True)

    _component(target, "documentdb", f"{DEBIAN_SUITE} {DEBIAN_PACKAGES}", make, say)


def _mirror(log: Path) -> str:
    """The package mirror that this machine's apt already uses."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = run(command, log=log, timeout_seconds=30).split()
    mirrors = [address for address in found if "security" not in address]
    if not mirrors:
        raise ServerError("apt knows no package mirror here: run apt-get update.")
    return mirrors[0]


def _host_go_is_enough() -> bool:
    go = find("go")
    if go is None:
        return False
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", said.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= GO_NEEDED


def _ferretdb_by_host(target: Cache, say: Callable[[str], None]) -> None:
    def make(folder: Path, log: Path) -> None:
        environment = {"GOBIN": str(folder), "CGO_ENABLED": "0"}
        run(["go", "install", FERRETDB], log=log, timeout_seconds=600, environment=environment)

    _component(target, "ferretdb", FERRETDB, make, say)


def _ferretdb_by_debian(target: Cache, say: Callable[[str], None]) -> None:
    """Without a recent Go on this machine, build with the one of the Debian root folder."""

    def make(folder: Path, log: Path) -> None:
        chroot = [*PRIVATE_MOUNTS, "sh", "-eu", "-c", ENTER, str(target.debian)]
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
        install = [*apt, "install", "--no-install-recommends", "golang-go"]
        run([*chroot, *install], log=log, timeout_seconds=600, root=True)
        environment = ["env", "HOME=/root", "GOBIN=/opt/ferretdb", "CGO_ENABLED=0"]
        build = [*chroot, *environment, "go", "install", FERRETDB]
        run(build, log=log, timeout_seconds=600, root=True)
        shutil.copy(target.debian / "opt" / "ferretdb" / "ferretdb", folder)

    _component(target, "ferretdb", FERRETDB, make, say)
