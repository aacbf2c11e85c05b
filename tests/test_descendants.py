from __future__ import annotations

import os
import subprocess

import psutil

from tests.descendants import descendants


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over() -> None:
    with subprocess.Popen(["sleep", "600"]) as short, subprocess.Popen(["sleep", "600"]) as long:

        def is_sleep(one: psutil.Process) -> bool:
            if one.pid == short.pid:
                short.kill()
                short.wait()
            return one.name() == "sleep"

        found = descendants(psutil.Process(os.getpid()), is_sleep)
        long.kill()
    assert [one.pid for one in found] == [long.pid]
