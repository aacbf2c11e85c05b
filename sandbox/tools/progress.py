"""Tells how far the build of the tools is: a bar on a terminal, elsewhere a line each half minute."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from sandbox.tools.packages import Package, Work

REPORT_SECONDS = 30.0
_TELLING_SHARE = 0.02
"""What must be done before anything can be told from how long it took."""


class BuildProgress:
    """How much of all that is to do has been done; as a context manager it shows itself.

    The bar's length and the time left go by the size of sources, binaries' linking included (see packages.py).
    """

    def __init__(self, console: Console) -> None:
        """What it tells is printed on `console`."""
        self._console = console
        self._what = "downloading modules"
        columns = (
            TextColumn("{task.description:<44.44}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(self._what, total=None, told="")
        self._weights: dict[str, int] = {}
        self._packages: set[str] = set()
        self._done: set[str] = set()
        self._downloads = 0
        self._reported = time.monotonic()
        self._started = time.monotonic()

    def __enter__(self) -> BuildProgress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def download(self, line: str) -> None:
        """Take a line that Go says of a module which it downloads."""
        self._downloads += line.startswith("go: downloading ")
        self.tick()

    def plan(self, works: dict[str, Work]) -> None:
        """Take what is to do for each part, by the parts' names. What several need is compiled once."""
        for name, work in works.items():
            self._packages |= {package.key for package in work.packages}
            self._weights |= {package.key: package.weight for package in work.packages}
            for binary, weight in work.links.items():
                self._weights[f"{name}/{binary}"] = weight
        self._started = time.monotonic()

    def compiled(self, part: str, package: Package) -> None:
        """Count `package`, which Go has begun to compile."""
        self._finish(package.key, f"{part}: {package.path.rpartition('/')[2]}")

    def linked(self, part: str, binary: str) -> None:
        """Count `binary`, which is there."""
        self._finish(f"{part}/{binary}", f"{part}: {binary} is built")

    def part_done(self, part: str, work: Work) -> None:
        """Count what Go did not say of `part`."""
        for key in (*(package.key for package in work.packages), *(f"{part}/{binary}" for binary in work.links)):
            self._finish(key, part)

    @property
    def share(self) -> float:
        """The share of the work that is done, 0 to 1."""
        whole = sum(self._weights.values())
        return sum(self._weights[key] for key in self._done) / whole if whole else 0.0

    def told(self) -> str:
        """`1234 of 5000 packages, 11 min left`; the time once there is something to tell it from."""
        compiled = f"{len(self._done & self._packages)} of {len(self._packages)} packages"
        elapsed, share = time.monotonic() - self._started, self.share
        if elapsed < REPORT_SECONDS / 2 or share < _TELLING_SHARE:
            return compiled
        left = elapsed * (1 - share) / share
        return f"{compiled}, {f'{left / 60:.0f} min' if left >= 60 else f'{left:.0f} s'} left"  # noqa: PLR2004 (seconds)

    def tick(self) -> None:
        """Show what is so: to be called every second or so, whether anything happened or not."""
        if self._weights:
            self._bar.update(self._task, total=1.0, completed=self.share, description=self._what, told=self.told())
        else:
            self._bar.update(self._task, description=self._what, told=f"{self._downloads} modules")
        if not self._console.is_terminal and time.monotonic() - self._reported >= REPORT_SECONDS:
            told = f"{self.share:.0%}, {self.told()}" if self._weights else f"{self._downloads} modules"
            self._console.print(f"{self._what}: {told}", highlight=False, soft_wrap=True)
            self._reported = time.monotonic()

    def _finish(self, key: str, what: str) -> None:
        if key in self._weights:
            self._done.add(key)
        self._what = what
        self.tick()
