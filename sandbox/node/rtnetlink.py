"""Network devices and routes by rtnetlink(7), as ip(8) makes them: the machine need not have it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from ipaddress import ip_network

RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWRULE = 16, 24, 32
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
RTA_DST, RTA_OIF, RTA_PREFSRC = 1, 4, 7
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RT_SCOPE_HOST, RTN_UNICAST, RTN_LOCAL = 254, 4, 253, 254, 1, 2
FR_ACT_TO_TBL, FRA_IIFNAME, FRA_PRIORITY = 1, 3, 6
"""Numbers of <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_link.h>, <linux/veth.h> and <linux/fib_rules.h>."""
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP = 0x8914, 0x8916, 0x891C, 0x1
"""Numbers of <linux/sockios.h> and <linux/if.h>."""

_ANY_DEVICE = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
"""struct ifinfomsg"""


def add_veth(name: str, peer: str, peer_namespace: int) -> None:
    """Make a pair of devices: `name` here, `peer` in the network namespace of the file descriptor. Raises OSError."""
    inside = _ANY_DEVICE + _attribute(IFLA_IFNAME, _text(peer))
    inside += _attribute(IFLA_NET_NS_FD, struct.pack("I", peer_namespace))
    kind = _attribute(IFLA_INFO_KIND, _text("veth"))
    kind += _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, inside))
    body = _ANY_DEVICE + _attribute(IFLA_IFNAME, _text(name)) + _attribute(IFLA_LINKINFO, kind)
    _request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def add_route(destination: str, device: str, source: str) -> None:
    """Reach the IPv4 address or network `destination` by `device`, and as `source`. Raises OSError."""
    _add_route(destination, device, (RT_TABLE_MAIN, RT_SCOPE_LINK, RTN_UNICAST), source)


def add_local_network(network: str, table: int) -> None:
    """Have what `table` is asked for, and goes to `network`, stay here. Raises OSError."""
    _add_route(network, "lo", (table, RT_SCOPE_HOST, RTN_LOCAL))


def add_rule(device: str, table: int) -> None:
    """Have `table` asked first for what comes by `device`. Raises OSError."""
    body = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0)
    body += _attribute(FRA_IIFNAME, _text(device)) + _attribute(FRA_PRIORITY, struct.pack("I", table))
    _request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body)


def _add_route(destination: str, device: str, where: tuple[int, int, int], source: str | None = None) -> None:
    network, (table, scope, kind) = ip_network(destination), where
    header = (socket.AF_INET, network.prefixlen, 0, 0, table, RTPROT_STATIC, scope, kind, 0)
    body = struct.pack("BBBBBBBBI", *header) + _attribute(RTA_DST, network.network_address.packed)
    body += _attribute(RTA_OIF, struct.pack("I", socket.if_nametoindex(device)))
    if source:
        body += _attribute(RTA_PREFSRC, socket.inet_aton(source))
    _request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body)


def set_up(device: str) -> None:
    """Let packets pass `device`. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", device.encode(), IFF_UP))


def add_address(address: str, label: str) -> None:
    """Give the loopback device the IPv4 address `address`, under the label `label` (`lo:1`). Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.255")):
            sockaddr = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(any_socket, request, struct.pack("16s16s", label.encode(), sockaddr))


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _attribute(kind: int, value: bytes) -> bytes:
    """struct rtattr, padded to four bytes."""
    return struct.pack("HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _request(kind: int, flags: int, body: bytes) -> None:
    """Send one message and await its acknowledgement."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        header = struct.pack("IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, 0)
        kernel.send(header + body)
        (code,) = struct.unpack_from("i", kernel.recv(65536), 16)
    if code:
        raise OSError(-code, f"rtnetlink {kind}: {os.strerror(-code)}")
