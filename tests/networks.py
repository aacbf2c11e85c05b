"""The loopback networks of the tests' sandboxes, N of 127.N.0.0/16: each worker of pytest-xdist has ten of its own.

They begin at TEST_NETWORKS, so that another run can be made beside one.
"""

from __future__ import annotations

import os

_FIRST = int(os.environ.get("TEST_NETWORKS", "100")) + 10 * int(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
)
"""Without workers, those of the first."""

END_TO_END = _FIRST
COMMAND = _FIRST + 1
CLOUD = _FIRST + 2
OTHER_CLOUD = _FIRST + 3
CLOUD_IN_PROCESS = _FIRST + 7
EDGE = _FIRST + 4
NODE = _FIRST + 5
PODS = _FIRST + 6
MACHINE = _FIRST + 8
OTHER_CLUSTER = MACHINE
LOAD_BALANCERS = MACHINE
"""None outlives the module of its tests."""
PULLS = _FIRST + 9
LOAD_BALANCER_CONTROLLER = COMMAND
"""Neither outlives the module of its tests."""
