"""One Apache Kafka broker that is its own controller, on ports and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.servers.install import require_installed
from tests.servers.processes import Process, free_ports, listens, wait_until
from tests.servers.shell import ServerError, run

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.index.size.max.bytes=65536
"""
# A killed broker is let back in when its last session has timed out: 9 s by default. A partition's
# two index files are 10 MiB of nothing by default, which the kernel fills with zeros when they are
# first written to: seconds of processor time for 240 partitions, just when a load begins.


class KafkaServer:
    """A broker of this run. Keeps ports and data over kill and restart, until `stop`."""

    controlled = True

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: Process | None = None
        self._port = 0

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    address = bootstrap

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start, or start again after a kill; returns when clients are served."""
        if self._folder is None:
            self._prepare()
        if not self.running:
            libraries = require_installed().kafka_libraries
            # A broker that lives for minutes spends much of its time on optimising itself.
            java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
            java += ["-cp", f"{libraries}/*"]
            java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
            command = [*java, "kafka.Kafka", str(self._state / "server.properties")]
            self._process = Process(command, log=self._state / "kafka.log")
        self.wait_ready()

    def stop(self) -> None:
        """Stop in good order and drop the data."""
        if self._process is not None:
            self._process.stop("SIGTERM")
        if self._folder is not None:
            shutil.rmtree(self._folder)
        self._process = self._folder = None

    def kill(self) -> None:
        """kill -9 of the broker; the data stays."""
        if self._process is None:
            raise ServerError("Kafka was not started.")
        self._process.kill()

    def restart(self) -> None:
        """Start again on the same ports and data, after ending what still runs in good order."""
        if self._process is not None:
            self._process.stop("SIGTERM")
        self.start()

    def wait_ready(self, timeout_seconds: float = 110) -> None:
        # Having looked through the logs of 240 partitions after a kill, on a busy machine.
        processes = [self._process] if self._process is not None else []
        wait_until(
            lambda: serves(self.bootstrap),
            processes=processes,
            timeout_seconds=timeout_seconds,
            what=f"Kafka at {self.bootstrap}",
        )

    @property
    def _state(self) -> Path:
        assert self._folder is not None
        return self._folder

    def _prepare(self) -> None:
        libraries = require_installed().kafka_libraries
        self._folder = Path(tempfile.mkdtemp(prefix="mooring-kafka-"))
        self._port, controller = free_ports(2)
        settings = self._state / "server.properties"
        data = self._state / "data"
        settings.write_text(PROPERTIES.format(broker=self._port, controller=controller, data=data))
        # A first byte of 0, for an identity that begins with a dash would pass for an option.
        identity = urlsafe_b64encode(bytes(1) + os.urandom(15)).decode().rstrip("=")
        tool = ["java", "-cp", f"{libraries}/*", "kafka.tools.StorageTool", "format"]
        command = [*tool, "--standalone", "-t", identity, "-c", str(settings)]
        run(command, log=self._state / "format.log", timeout_seconds=60)


def serves(bootstrap: str) -> bool:
    """Whether a broker is in service and every partition has its leader back."""
    if not listens(bootstrap):
        return False
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    except (KafkaError, OSError):
        return False
    try:
        brokers = admin.describe_cluster()["brokers"]
        return bool(brokers) and all(_is_led(topic) for topic in admin.describe_topics())
    except (KafkaError, OSError):
        return False
    finally:
        admin.close()


def _is_led(topic: dict[str, list[dict[str, int]]]) -> bool:
    return all(partition["leader_id"] >= 0 for partition in topic["partitions"])
