"""Network interfaces of instances."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces

from sandbox.aws.moto_corrections.replacing import instead_of


def keep_assigned_prefixes() -> None:
    """moto ignores the prefixes that an interface is assigned: those from which a network plugin gives pods addresses.

    AWS tells them wherever it describes the interface; by them the AWS Load Balancer Controller finds pods' interface.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssignPrivateIpAddresses.html
    """

    @instead_of(NetworkInterface, "__init__")
    def _(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        self.ipv4_prefixes = []
        original(self, *arguments, **named)

    @instead_of(ElasticNetworkInterfaces, "assign_private_ip_addresses")
    def _(original: Any, self: Any) -> Any:
        result = original(self)
        assigned = [{"Ipv4Prefix": prefix} for prefix in self._get_param("Ipv4Prefixes", [])]
        interface: Any = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        interface.ipv4_prefixes += assigned
        result.result["AssignedIpv4Prefixes"] = assigned
        return result
