"""The gates of a pod: its relays' listeners, which let through what the pod's rules let through.

What is denied is dropped: its first packet gets no answer, as a gate that none but the sandbox's own may pass asks for
their mark. Where some of the others may pass, a connection is looked at when it is made; one that is denied then is
never answered.
"""

from __future__ import annotations

import socket

from sandbox.connection_marks import LONGEST_TTL
from sandbox.node.network_policy.address_ranges import contains, without
from sandbox.node.network_policy.rules import Rules

IP_MINTTL = 21
"""Of <linux/in.h>."""
ANY_TTL = 0


class Gates:
    """The listeners by which a pod's process takes what comes to the pod and what leaves it."""

    def __init__(self) -> None:
        self._rules = Rules()
        self._ingress: dict[socket.socket, int] = {}
        self._egress: dict[socket.socket, tuple[str, int, bool]] = {}

    def guard_ingress(self, listener: socket.socket, port: int) -> None:
        """Have `listener`, on the host, let through who may come to `port` of the pod."""
        self._ingress[listener] = port
        self._set(listener)

    def guard_egress(self, listener: socket.socket, address: str, port: int, *, admitted: bool = True) -> None:
        """Have `listener`, in the pod, let through what goes to `port` of `address`, as the pod sees it.

        `admitted`: whether who is there lets this pod in.
        """
        self._egress[listener] = (address, port, admitted)
        self._set(listener)

    def forget(self, listener: socket.socket) -> None:
        """Let go of a listener that ends."""
        self._ingress.pop(listener, None)
        self._egress.pop(listener, None)

    def keep_to(self, rules: Rules) -> None:
        """Follow `rules` from now on. Who comes in is told by the source addresses that the host sees."""
        self._rules = rules
        for listener in (*self._ingress, *self._egress):
            self._set(listener)

    def lets_out(self, protocol: str, address: str, port: int) -> bool:
        """Tell whether the pod may reach `port` of `address`, as it sees it, by TCP or UDP."""
        return self._rules.let_out(protocol, address, port)

    def admits(self, listener: socket.socket, source: str) -> bool:
        """Tell whether a connection that `listener` has taken, from the address `source`, may go on."""
        if listener in self._ingress:
            return contains(self._rules.sources("TCP", self._ingress[listener]), source)
        return self._leads_out(listener)

    def _leads_out(self, listener: socket.socket) -> bool:
        address, port, admitted = self._egress[listener]
        return admitted and self.lets_out("TCP", address, port)

    def _set(self, listener: socket.socket) -> None:
        if listener in self._ingress:
            others_pass = bool(without(self._rules.sources("TCP", self._ingress[listener]), self._rules.marked))
        else:
            others_pass = self._leads_out(listener)
        listener.setsockopt(socket.IPPROTO_IP, IP_MINTTL, ANY_TTL if others_pass else LONGEST_TTL)
