"""The selector kafka-python waits with: the system's, with a memory of its own.

kafka-python registers a socket anew for each read and each write, and asks before whether it is
there. The standard library's "no" is a ``KeyError`` that describes the socket, for which it asks
the kernel for both its addresses: with one message at a time a third of the sender's work.
"""

import selectors
from typing import Any


class KafkaSelector(selectors.DefaultSelector):
    """``get_key`` refuses in silence."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Wait for events of a file from now on."""
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
        """Let go of all."""
        self._known.clear()
        super().close()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return what is waited for; raises KeyError."""
        return self._known[fileobj]
