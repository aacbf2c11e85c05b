"""`python -m tests.ordinary_user COMMAND...`: run it as a user without privileges, also when root runs this.

In a mount namespace of their own his processes see checkout, tools and Python where they are, also below a closed home.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.layout import cache_directory
from sandbox.node.runtime import namespaces as ns
from sandbox.tools.build import toolchain
from sandbox.tools.pins import tools_directory

NOBODY = 65534
"""The user and group that no file belongs to, on Linux."""
CHECKOUT = Path(__file__).parents[1]


def show(needed: list[Path]) -> None:
    """Have everyone reach the directories `needed`, in place of all that is beside them in closed directories."""
    opened = {path: os.open(path, os.O_PATH) for path in needed}
    outermost = (next((one for one in reversed(path.parents) if is_closed(one)), None) for path in needed)
    for closed in {one for one in outermost if one}:
        ns.mount("tmpfs", str(closed), "tmpfs", options="mode=0755")
    for path, descriptor in opened.items():
        if not path.exists():
            path.mkdir(parents=True)
            ns.bind(f"/proc/self/fd/{descriptor}", str(path), read_only=False)


def is_closed(directory: Path) -> bool:
    """Whether others than its owner and group may not go through the directory."""
    return not directory.stat().st_mode & stat.S_IXOTH


def run(command: list[str]) -> int:
    """Run the command as nobody; return its exit code."""
    home = Path(tempfile.mkdtemp(prefix="ordinary-user-"))
    try:
        tools, own_images, lock = toolchain(), home / "images", home / "lock"
        shutil.copytree(tools.images, own_images, symlinks=True)
        lock.touch()
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        ns.unshare(ns.NEWNS)
        ns.mount(None, "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        show([Path(sys.base_prefix).resolve(), CHECKOUT, tools_directory().resolve(), cache_directory()])
        # What who uses the tools writes, and what he has to own.
        ns.bind(str(lock), str(tools_directory().resolve() / "lock"), read_only=False)
        ns.bind(str(own_images), str(tools.images.resolve()), read_only=False)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        places = {"HOME": home, "TMPDIR": home, "XDG_CACHE_HOME": cache_directory().parent}
        environment = kept | {name: str(path) for name, path in places.items()} | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, user=NOBODY, group=NOBODY, extra_groups=[], check=False)
        return done.returncode
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    if os.geteuid() == 0:
        sys.exit(run(sys.argv[1:]))
    os.execvp(sys.argv[1], sys.argv[1:])
