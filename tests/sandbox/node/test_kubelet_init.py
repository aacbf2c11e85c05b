"""What is done to the process that becomes the kubelet, tried on a process of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
CHOWN = """
import os, sys
from sandbox.node.kubelet_init import succeed_without_chown
file = sys.argv[1]
succeed_without_chown()
os.chown(file, 12345, 12345)
os.lchown(file, 12345, 12345)
descriptor = os.open(file, os.O_RDONLY)
os.fchown(descriptor, 12345, 12345)
os.chown(os.path.basename(file), 12345, 12345, dir_fd=os.open(os.path.dirname(file), os.O_RDONLY))
os.chmod(file, 0o640)
print(open('/proc/self/status').read())
"""


def test_chown_succeeds_and_changes_nothing_and_other_calls_are_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch()
    command = [sys.executable, "-c", CHOWN, str(file)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (os.geteuid(), os.getegid(), 0o640)
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
