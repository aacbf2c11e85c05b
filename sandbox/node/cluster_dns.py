"""The cluster's name service at its address in one pod's network, by UDP and TCP, from the pod's own process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.node.relays import Address, listen

PORT = 53
IDLE_SECONDS = 10.0
"""How long a TCP connection may wait for its next query: RFC 7766, section 6.2.3, wants "a few seconds"."""


@dataclass(frozen=True)
class NameService:
    """What pods are told of their name service."""

    address: str
    """Its IPv4 address, one of the pod's own network."""
    api_server: str
    """The address that the name of the Service `kubernetes` has."""


class NameServer:
    """Answers as `dns_answers.answer`."""

    def __init__(self, service: NameService) -> None:
        """Take the address of `service` in the caller's network namespace. Raises OSError that names it."""
        self.address: Address = (service.address, PORT)
        self.listener = listen(self.address)
        """By TCP."""
        self._api_server = service.api_server
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.setblocking(False)
        self._datagrams.bind(self.address)

    async def serve(self, takes_datagrams: Callable[[], bool] = lambda: True) -> None:
        """Answer from now on, for as long as the event loop runs; datagrams while `takes_datagrams` says so."""
        self._takes_datagrams = takes_datagrams
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=self._datagrams)
        self._server = await asyncio.start_server(self._serve_stream, sock=self.listener)

    def answer_datagram(self, query: bytes) -> bytes | None:
        """Answer as `answer`, or drop it."""
        return self.answer(query) if self._takes_datagrams() else None

    def answer(self, query: bytes) -> bytes | None:
        """Answer one query in DNS's wire form; None to what gets no answer."""
        # Each pod's process has this, and most pods ask for nothing: the library takes 0.1 s to load.
        from sandbox.node import dns_answers  # noqa: PLC0415

        return dns_answers.answer(query, self._api_server)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer query after query, each with its length before it (RFC 1035, section 4.2.2)."""
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2))
                    told = self.answer(await reader.readexactly(size))
                    if told is None:
                        return
                    writer.write(len(told).to_bytes(2) + told)
                    await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if (told := self._server.answer_datagram(data)) is not None:
            self._transport.sendto(told, addr)
