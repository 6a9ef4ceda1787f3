"""How kafka-python connects: a socket that is given up on the way is closed.

kafka-python leaves one that has not connected when its client is closed, or in time, to the
garbage collector, which finds it at any later moment. Ways to connect are chosen by the scheme of
its option ``proxy_url``; this one goes through no proxy.
"""

from collections.abc import Sequence
from typing import Any

from kafka.net.inet import KafkaNetSocket

DIRECTLY = "direct://"


class DirectSocket(KafkaNetSocket):  # type: ignore[misc]
    """Registers itself with kafka-python under its scheme."""

    SCHEMES = ("direct",)

    async def connect(
        self,
        net: Any,
        addrinfo: tuple[Any, ...],
        socket_options: Sequence[tuple[Any, ...]] = (),
        timeout_at: float | None = None,
    ) -> Any:
        """Return a connected socket. Raises what kafka-python does."""
        family, kind, protocol, _, address = addrinfo
        sock = self.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            for option in socket_options:
                sock.setsockopt(*option)
            return await self.sock_connect(net, sock, address, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise
