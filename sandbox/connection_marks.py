"""How connections of the sandbox's own are told from others where they come to pods.

An ordinary user may have no packet filter, but can have the kernel drop packets whose time to live is too short
(IP_MINTTL of ip(7)). So those of the sandbox who may have to be told from others send packets with the longest.
"""

from __future__ import annotations

import socket

LONGEST_TTL = 255
"""The longest time to live that a packet has."""


def mark(sending: socket.socket) -> None:
    """Have a TCP socket, not yet connected, pass gates that only those who are of the sandbox may pass."""
    sending.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, LONGEST_TTL)
