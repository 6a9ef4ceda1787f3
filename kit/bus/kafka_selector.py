"""The selector kafka-python waits with: the system's, with a memory of its own.

kafka-python registers a socket anew for each read and each write, and asks before whether it is
there. The standard library's "no" is a ``KeyError`` that describes the socket, for which it asks
the kernel for both its addresses: with one message at a time a third of the sender's work.

It closes a connection only when all that was to be sent on it has been sent. A client that is
closed before that leaves the socket to the garbage collector, so the selector closes it.
"""

import selectors
import socket
from typing import Any
from weakref import WeakSet


class KafkaSelector(selectors.DefaultSelector):
    """``get_key`` refuses in silence; ``close`` closes the sockets that it was used for."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Any, selectors.SelectorKey] = {}
        self._sockets = WeakSet[socket.socket]()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Wait for events of a file from now on."""
        if isinstance(fileobj, socket.socket):
            self._sockets.add(fileobj)
        self._known[fileobj] = key = super().register(fileobj, events, data)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Wait for other events of a file."""
        self._known[fileobj] = key = super().modify(fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Wait for a file no longer."""
        self._known.pop(fileobj, None)
        return super().unregister(fileobj)

    def close(self) -> None:
        """Let go of all: kafka-python does this last."""
        self._known.clear()
        super().close()
        for each in list(self._sockets):
            each.close()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return what is waited for; raises KeyError."""
        return self._known[fileobj]
