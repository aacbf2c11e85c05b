"""The edge's connections to pods, each from the address that the pod sees in AWS: for its network policies."""

from __future__ import annotations

import asyncio
import socket

from sandbox.connection_marks import mark
from sandbox.layout import Layout

IP_BIND_ADDRESS_NO_PORT = 24
"""Of <linux/in.h>: the port is chosen for the connection, not for the source address alone."""


def new_socket(layout: Layout, source: str) -> socket.socket:
    """Return a TCP socket that connects from the loopback address `source`, and so that pods know the node's."""
    made = socket.socket()
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((source, 0))
        if source == layout.node_address:
            mark(made)
    except OSError:
        made.close()
        raise
    return made


async def connect(layout: Layout, source: str, address: str, port: int) -> socket.socket:
    """Connect from `source` to a loopback address that serves a pod. Raises OSError."""
    made = new_socket(layout, source)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


def balancer_source(layout: Layout, *, by_instance: bool) -> str:
    """Return whence load balancers come to pods: an instance passes on what it gets, from its own address.

    https://kubernetes.io/docs/tutorials/services/source-ip/#source-ip-for-services-with-type-nodeport
    """
    return layout.node_address if by_instance else layout.load_balancer_address
