"""HTTP/1.1 as a proxy passes it on: streamed both ways at once, with backpressure and no body held in memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

import h11

from sandbox.edge.heads import end_to_end

CHUNK = 256 * 1024
"""Bytes read at once, and about what is held per connection and direction."""
MAXIMUM_HEAD = 64 * 1024
LINGER_SECONDS = 5.0
HANDSHAKE_SECONDS = 10.0


class BrokenError(Exception):
    """A connection ended, or spoke no HTTP, in the middle of something."""


class ClientBrokenError(BrokenError):
    """The client's did."""


class UpstreamBrokenError(BrokenError):
    """The pod's did."""


class Stream:
    """One HTTP connection: `role` h11.SERVER towards a client, h11.CLIENT towards a pod."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        role: type[h11.CLIENT | h11.SERVER],
        address: str = "",
    ):
        self.address = address or writer.get_extra_info("peername")[0]
        """The IP address of the other side; `address` is for who has another one than his connection."""
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(role, max_incomplete_event_size=MAXIMUM_HEAD)
        self.received = 0
        """Bytes so far."""
        self.method = b""
        """Of the last request."""
        self.refusal = 0
        """The status with which a request that can't be understood is to be refused."""
        self.early = b""
        """What came in a tunnel before it was accepted."""
        self.on_bytes: Callable[[], object] = lambda: None
        """Called whenever bytes have come or gone."""
        self._broken = ClientBrokenError if role is h11.SERVER else UpstreamBrokenError
        writer.transport.set_write_buffer_limits(high=CHUNK)

    @property
    def is_ready_for_next(self) -> bool:
        """Whether request and response are complete, and another request may follow."""
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE

    async def next_event(self) -> h11.Event:
        """Return the next event. Raises ClientBrokenError or UpstreamBrokenError."""
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                data = await self.reader.read(CHUNK)
                self.received += len(data)
                self.on_bytes()
                self.http.receive_data(data)
        except h11.RemoteProtocolError as error:
            self.refusal = error.error_status_hint
            raise self._broken(str(error)) from error
        except OSError as error:
            raise self._broken(_reason(error)) from error
        if isinstance(event, h11.Request):
            self.method = event.method
        if isinstance(event, type):  # h11.PAUSED
            raise self._broken("it sent more than was asked for")
        return event

    async def send(self, event: h11.Event) -> None:
        """Send `event`, as fast as the other side reads. Raises ClientBrokenError or UpstreamBrokenError."""
        try:
            for data in self.http.send_with_data_passthrough(event) or ():
                self.writer.write(data)
            await self.writer.drain()
        except h11.LocalProtocolError as error:
            raise self._broken(f"it was sent what it can't be sent: {error}") from error
        except OSError as error:
            raise self._broken(_reason(error)) from error
        self.on_bytes()

    async def answer(self, status: int, text: str) -> None:
        """Answer with an error of the edge's own, in plain text, after which the connection is to be closed."""
        body = text.encode() + b"\n"
        content = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        # Of the answer to CONNECT clients tell the user the reason phrase alone.
        reason = " ".join(text.split()).encode("ascii", "replace") if self.method == b"CONNECT" else b""
        await self.send(h11.Response(status_code=status, headers=[*content, ("Connection", "close")], reason=reason))
        if self.method != b"HEAD":
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def accept_tunnel(self) -> Stream:
        """Answer a CONNECT with 200; return the stream of what follows on the same connection."""
        await self.send(h11.Response(status_code=200, headers=[]))
        inside = Stream(self.reader, self.writer, h11.SERVER, self.address)
        inside.on_bytes = self.on_bytes
        if early := self.http.trailing_data[0]:
            inside.early = early
            inside.http.receive_data(early)
        return inside

    async def close(self) -> None:
        """Close, after what was written has arrived: what the client still sends is read for up to LINGER_SECONDS.

        Closing at once would reset the connection, and the client might lose the answer.
        """
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                if self.http.their_state is h11.SEND_BODY:
                    while await self.reader.read(CHUNK):
                        pass
                self.writer.close()
                await self.writer.wait_closed()
        self.writer.close()

    def abort(self) -> None:
        """Reset the connection: the other side sees that something is missing."""
        with contextlib.suppress(OSError):  # it is closed already
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


async def exchange(request: h11.Request, client: Stream, upstream: Stream) -> int:
    """Send `request` to `upstream`, then the client's body, and pass the response on meanwhile; return its status.

    The client's connection can take its next request if both sides of `client.http` are done.
    Raises ClientBrokenError or UpstreamBrokenError.
    """
    await upstream.send(request)
    upload = asyncio.create_task(_pass_body(client, upstream))
    try:
        return await _pass_response(client, upstream)
    except UpstreamBrokenError:
        if upload.done() and not upload.cancelled() and (error := upload.exception()):
            raise error from None
        raise
    finally:
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)


async def _pass_body(client: Stream, upstream: Stream) -> None:
    try:
        while client.http.their_state is h11.SEND_BODY:
            event = await client.next_event()
            if isinstance(event, h11.Data):
                await upstream.send(h11.Data(data=event.data))
        await upstream.send(h11.EndOfMessage())
    except ClientBrokenError:
        upstream.abort()
        raise
    except UpstreamBrokenError:
        pass  # It may have answered before: the response, or its lack, decides.


async def _pass_response(client: Stream, upstream: Stream) -> int:
    while isinstance(head := await upstream.next_event(), h11.InformationalResponse):
        if client.http.their_http_version != b"1.0":
            await client.send(
                h11.InformationalResponse(status_code=head.status_code, reason=head.reason, headers=end_to_end(head))
            )
    if not isinstance(head, h11.Response):
        raise UpstreamBrokenError("it closed the connection without a response")
    headers = end_to_end(head)
    if client.http.their_state is h11.SEND_BODY:
        headers.append((b"Connection", b"close"))  # The rest of the body is in the way of the next request.
    await client.send(h11.Response(status_code=head.status_code, reason=head.reason, headers=headers))
    while isinstance(event := await upstream.next_event(), h11.Data):
        await client.send(h11.Data(data=event.data))
    await client.send(h11.EndOfMessage())
    return head.status_code


async def tunnel(first: Stream, second: Stream) -> int:
    """Pass bytes both ways until both sides have ended; return their number. Raises BrokenError."""

    async def copy(source: Stream, sink: Stream) -> int:
        total = len(source.early)
        try:
            sink.writer.write(source.early)
            while data := await source.reader.read(CHUNK):
                total += len(data)
                sink.writer.write(data)
                source.on_bytes()
                await sink.writer.drain()
                source.on_bytes()
            if sink.writer.can_write_eof():
                sink.writer.write_eof()
            else:  # TLS of Python can't end in one direction
                sink.writer.close()
        except OSError as error:
            raise BrokenError(_reason(error)) from error
        return total

    copies = [asyncio.create_task(copy(first, second)), asyncio.create_task(copy(second, first))]
    try:
        return sum(await asyncio.gather(*copies))
    finally:
        for one in copies:
            one.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


async def accept_tls_tunnel(client: Stream, context: ssl.SSLContext) -> Stream:
    """Answer a CONNECT with 200 and speak TLS from then on, by the server's `context`; return the stream inside.

    Raises OSError (ssl.SSLError) if the handshake fails, ClientBrokenError if the client is gone.
    """
    loop = asyncio.get_running_loop()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # nothing may come before TLS listens
    await client.send(h11.Response(status_code=200, headers=[]))
    if client.http.trailing_data[0]:
        raise ClientBrokenError("it began TLS before the tunnel was there")
    reader = asyncio.StreamReader(limit=CHUNK)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = await loop.start_tls(
        client.writer.transport, protocol, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
    )
    if transport is None:
        raise ConnectionResetError("the client has gone")
    protocol.connection_made(transport)
    return Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop), h11.SERVER, client.address)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
