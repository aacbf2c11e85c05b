"""The arguments of `python -m sandbox.node`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.layout import DEFAULT_NETWORK


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the node's command."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.node")
    parser.add_argument("--name", default="default", help="the sandbox's name")
    parser.add_argument("--network", type=int, default=DEFAULT_NETWORK, help="N of the sandbox's network 127.N.0.0/16")
    parser.add_argument("--images", type=Path, required=True, help="the directory of the node's own images")
    parser.add_argument("--tools", type=Path, required=True, help="the directory of kubelet and crane")
    return parser.parse_args()
