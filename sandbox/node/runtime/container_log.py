"""A container's log in the format of the CRI, which the kubelet reads and rotates: `<time> <stream> <tag> <line>`.

`kubelet/pkg/kuberuntime/logs` is what reads it. Lines are cut as containerd cuts them.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_LINE = 16 * 1024
"""Bytes of an entry's line: containerd's max_container_log_line_size."""
FULL, PARTIAL = b"F", b"P"
"""Tags of an entry: a line's end, or a part that another follows (as nothing does an unended last line)."""
_CHUNK = 64 * 1024
_MODE = 0o600


class LineCutter:
    """Cuts what a stream brings into tags and lines."""

    def __init__(self) -> None:
        """Begin with an empty stream."""
        self._rest = b""

    def cut(self, content: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield what `content` completes: lines without their line feed, and the parts of long ones."""
        *lines, rest = (self._rest + content).split(b"\n")
        for line in lines:
            while len(line) > LONGEST_LINE:
                yield PARTIAL, line[:LONGEST_LINE]
                line = line[LONGEST_LINE:]  # noqa: PLW2901
            yield FULL, line
        while len(rest) > LONGEST_LINE:
            yield PARTIAL, rest[:LONGEST_LINE]
            rest = rest[LONGEST_LINE:]
        self._rest = rest

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is left: a last line that was not ended."""
        if self._rest:
            yield PARTIAL, self._rest


def entry(stream: str, tag: bytes, line: bytes, nanoseconds: int) -> bytes:
    """Return an entry of the log, from `nanoseconds` since the epoch."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%09dZ %s %s %s\n" % (moment.encode(), fraction, stream.encode(), tag, line)


class ContainerLog:
    """The log of one run of a container, written by a thread of its own until both streams have ended.

    What can't be written is dropped, so that the container never waits for its log.
    """

    def __init__(self, path: Path) -> None:
        """Add to the file `path`, which is made with its directory, for the owner only. Raises OSError."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        """Guards `_file`."""
        self._file = _open(path)
        self._thread = threading.Thread(target=self._run, name=f"log {path.name}", daemon=True)
        self._streams: dict[int, str] = {}

    @contextmanager
    def streams(self) -> Iterator[tuple[int, int]]:
        """Give the file descriptors of standard output and error to start a container with, once.

        After the block nobody has them but the container: when its processes have ended, so does the log.
        """
        pipes = [os.pipe(), os.pipe()]
        self._streams = {reading: name for (reading, _), name in zip(pipes, ("stdout", "stderr"), strict=True)}
        self._thread.start()
        (_, stdout), (_, stderr) = pipes
        try:
            yield stdout, stderr
        finally:
            os.close(stdout)
            os.close(stderr)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds until all that the container said is written; return whether it is."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def reopen(self) -> None:
        """Go on in a new file, as the present one has been renamed. Raises OSError if there can't be one."""
        with self._lock:
            if self._file is not None:
                new = _open(self._path)
                os.close(self._file)
                self._file = new

    def _run(self) -> None:
        cutters = {reading: LineCutter() for reading in self._streams}
        with selectors.DefaultSelector() as selector:
            for reading in self._streams:
                selector.register(reading, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    content = os.read(key.fd, _CHUNK)
                    cutter = cutters[key.fd]
                    self._write(self._streams[key.fd], cutter.cut(content) if content else cutter.end())
                    if not content:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def _write(self, stream: str, lines: Iterator[tuple[bytes, bytes]]) -> None:
        entries = b"".join(entry(stream, tag, line, time.time_ns()) for tag, line in lines)
        with self._lock, suppress(OSError):
            while entries and self._file is not None:
                entries = entries[os.write(self._file, entries) :]


def _open(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _MODE)
