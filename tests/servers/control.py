"""Starts both servers for another process and lets it kill and restart them over a socket."""

from __future__ import annotations

import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.document_server import DocumentServer
from tests.servers.kafka_server import KafkaServer
from tests.servers.shell import ServerError


@contextmanager
def serve_both() -> Iterator[dict[str, str]]:
    """Both servers, running; yields the environment in which a test run finds and controls them."""
    kafka, documents = KafkaServer(), DocumentServer()
    with tempfile.TemporaryDirectory(prefix="mooring-control-") as folder:
        path = Path(folder) / "socket"
        try:
            kafka.start()
            documents.start()
            with _obeying(path, kafka, documents):
                yield {
                    "MOORING_TEST_KAFKA": kafka.bootstrap,
                    "MOORING_TEST_MONGO_URL": documents.url,
                    "MOORING_TEST_CONTROL": str(path),
                }
        finally:
            kafka.stop()
            documents.stop()


@contextmanager
def _obeying(path: Path, kafka: KafkaServer, documents: DocumentServer) -> Iterator[None]:
    orders = {
        "kafka kill": kafka.kill,
        "kafka restart": kafka.restart,
        "documents kill": documents.kill,
        "documents kill postgres": lambda: documents.kill("postgres"),
        "documents kill ferretdb": lambda: documents.kill("ferretdb"),
        "documents restart": documents.restart,
    }

    class Order(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            order = self.rfile.readline().decode().strip()
            try:
                orders[order]()
                answer = "done"
            except KeyError:
                answer = f"There is no order {order!r}."
            except ServerError as error:
                answer = str(error)
            self.wfile.write(f"{answer}\n".encode())

    with socketserver.UnixStreamServer(str(path), Order) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
