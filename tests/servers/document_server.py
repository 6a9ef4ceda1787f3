"""PostgreSQL with DocumentDB in a Debian root folder, and FerretDB before it.

PostgreSQL runs in namespaces of its own: its mounts, shared memory and processes vanish with its
first process, so a kill leaves nothing of it and a restart waits for nothing. Its data is in a
temporary folder of this machine, bound into the root folder at /srv.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers.install import require_installed
from tests.servers.processes import Process, free_ports, listens, wait_until
from tests.servers.shell import ServerError, elevated, run

Part = Literal["postgres", "ferretdb"]
PARTS: tuple[Part, ...] = ("ferretdb", "postgres")

BINARIES = "/usr/lib/postgresql/18/bin"
NAMESPACES = ("unshare", "--mount", "--ipc", "--pid", "--propagation", "private", "--")

# $1 is the root folder, $2 the data folder; the rest is the command, run there as postgres.
ENTER = """\
root=$1; data=$2; shift 2
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc" || mount --rbind /proc "$root/proc"
mount --bind "$data" "$root/srv"
chroot "$root" chown postgres:postgres /srv
exec chroot --userspec=postgres:postgres "$root" "$@"
"""

SETTINGS = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '/srv'
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
cron.host = '127.0.0.1'
deadlock_timeout = '20ms'
"""


class DocumentServer:
    """A document database of this run. Keeps ports and data over kill and restart, until `stop`."""

    controlled = True

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._processes: dict[Part, Process] = {}
        self._ports: dict[Part, int] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._ports['ferretdb']}"

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}/"

    @property
    def running(self) -> bool:
        return all(self._runs(part) for part in PARTS)

    def start(self) -> None:
        """Start, or start again what was killed; returns when clients are served."""
        fresh = self._folder is None
        if fresh:
            self._prepare()
        if not self._runs("postgres"):
            self._start_postgres()
        if fresh:
            self._create_extension()
        if not self._runs("ferretdb"):
            self._start_ferretdb()
        self.wait_ready()

    def stop(self) -> None:
        """Stop in good order and drop the data."""
        self._end()
        if self._folder is not None:
            # The data belongs to a postgres user that only the root folder knows.
            drop = ["rm", "-rf", "--one-file-system", str(self._folder)]
            run(drop, timeout_seconds=60, root=True)
        self._folder = None

    def kill(self, *parts: Part) -> None:
        """kill -9 of the named parts, of both when none is named; the data stays."""
        for part in parts or PARTS:
            if part not in self._processes:
                raise ServerError(f"{part} was not started.")
            self._processes[part].kill()

    def restart(self) -> None:
        """Start again on the same ports and data. What still runs goes on running, unless all
        does: then it is first stopped in good order."""
        if self.running:
            self._end()
        self.start()

    def wait_ready(self, timeout_seconds: float = 60) -> None:
        wait_until(
            lambda: serves(self.url, self.address),
            processes=list(self._processes.values()),
            timeout_seconds=timeout_seconds,
            what=f"The document database at {self.url}",
        )

    def _runs(self, part: Part) -> bool:
        return part in self._processes and self._processes[part].running

    def _end(self) -> None:
        # SIGINT is PostgreSQL's fast shutdown; it also ends FerretDB.
        for part in PARTS:
            if part in self._processes:
                self._processes[part].stop("SIGINT")

    @property
    def _state(self) -> Path:
        assert self._folder is not None
        return self._folder

    def _prepare(self) -> None:
        require_installed()
        self._folder = Path(tempfile.mkdtemp(prefix="mooring-documents-"))
        (self._state / "postgres").mkdir()
        (self._state / "ferretdb").mkdir()
        postgres, ferretdb = free_ports(2)
        self._ports = {"postgres": postgres, "ferretdb": ferretdb}
        settings = self._state / "mooring.conf"
        settings.write_text(SETTINGS.format(port=postgres))
        initdb = f"{BINARIES}/initdb -D /srv/data -U postgres -A trust --locale=C.UTF-8 --no-sync"
        script = f"{initdb} && cat >> /srv/data/postgresql.conf"
        self._in_debian(["sh", "-c", f"{script} <<'END'\n{settings.read_text()}END\n"])

    def _create_extension(self) -> None:
        """Once per data folder; psql waits for the server by trying."""
        wait_until(
            lambda: listens(f"127.0.0.1:{self._ports['postgres']}"),
            processes=[self._processes["postgres"]],
            timeout_seconds=60,
            what="PostgreSQL",
        )
        psql = f"psql -h 127.0.0.1 -p {self._ports['postgres']} -v ON_ERROR_STOP=1"
        create = f'{psql} -c "CREATE EXTENSION documentdb CASCADE"'
        patient = f"for try in $(seq 50); do {psql} -qc ';' && break; sleep 0.1; done; {create}"
        self._in_debian(["sh", "-c", patient])

    def _start_postgres(self) -> None:
        self._processes["postgres"] = Process(
            [*self._enter(), f"{BINARIES}/postgres", "-D", "/srv/data"],
            log=self._state / "postgres.log",
            prefix=tuple(elevated(list(NAMESPACES))),
        )

    def _start_ferretdb(self) -> None:
        database = f"postgres://postgres@127.0.0.1:{self._ports['postgres']}/postgres"
        command = [str(require_installed().ferretdb), f"--postgresql-url={database}"]
        command += ["--no-auth", f"--listen-addr={self.address}", "--debug-addr=-"]
        command += ["--telemetry=disable", f"--state-dir={self._state / 'ferretdb'}"]
        command += ["--log-level=warn"]
        log = self._state / "ferretdb.log"
        self._processes["ferretdb"] = Process(command, log=log)

    def _enter(self) -> list[str]:
        root, data = str(require_installed().debian), str(self._state / "postgres")
        return ["sh", "-eu", "-c", ENTER, "enter", root, data]

    def _in_debian(self, command: list[str]) -> None:
        """Run one command as postgres in the root folder, to its end."""
        apart = [*NAMESPACES[:-1], "--fork", "--kill-child", "--", *self._enter(), *command]
        run(apart, log=self._state / "steps.log", timeout_seconds=60, root=True)


def serves(url: str, address: str | None = None) -> bool:
    """Whether a command that reaches the store behind the listener is answered."""
    if address is not None and not listens(address):
        return False
    client: MongoClient[dict[str, object]] = MongoClient(
        url, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000
    )
    try:
        client.list_database_names()
    except PyMongoError:
        return False
    finally:
        client.close()
    return True
