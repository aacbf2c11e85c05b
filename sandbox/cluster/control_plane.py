"""The cluster's control plane: etcd, Kubernetes' own programs and the AWS cloud controller manager, as processes."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox import authority, kubeconfig
from sandbox.authority import Authority
from sandbox.layout import AVAILABILITY_ZONE, CLUSTER_NAME, NODE_TUNNEL, REGION, Account, Layout
from sandbox.processes import start, wait_until

SERVICE_NETWORK = "172.20.0.0/16"
"""The Services' addresses: what EKS takes for clusters in 10.0.0.0/8."""
ADMINISTRATORS = "system:masters"
READY_SECONDS = 180.0
SERVICE_SYNCS = 2
AWS_SERVICES = ("EC2", "Elastic Load Balancing", "Elastic Load Balancing v2")
"""The services that the cloud controller manager calls, by the service ids of the AWS SDK for Go."""


@dataclass(frozen=True)
class Program:
    """A process of the control plane before it runs."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    ready: Callable[[], bool]


class Cluster:
    """The control plane of one sandbox."""

    def __init__(self, layout: Layout, tools: Path) -> None:
        """`tools` is the directory of the built programs."""
        self._layout = layout
        self._tools = tools
        self._directory = layout.directory / "cluster"

    def start(self) -> None:
        """Start what does not run yet, and return when all of it is ready. Raises ProcessError."""
        self._prepare()
        etcd, api_server, *controllers = self.programs()
        for together in ([etcd], [api_server], controllers):
            for program in together:
                start(self._layout, program.name, program.argv, program.environment)
            for program in together:
                self._await(program)

    def start_cloud_controller_manager(self, account: Account) -> None:
        """Start the AWS cloud controller manager as the account's administrator, once the node is registered.

        Raises ProcessError.
        """
        config = self._directory / "cloud.conf"
        config.write_text(cloud_config(self._layout, account))
        program = self.cloud_controller_manager(account, config)
        start(self._layout, program.name, program.argv, program.environment)
        self._await(program)

    def programs(self) -> list[Program]:
        """Return the control plane without the cloud's part, in the order of start."""
        return [self._etcd(), self._api_server(), self._scheduler(), self._controller_manager()]

    def _await(self, program: Program) -> None:
        wait_until(program.ready, READY_SECONDS, f"{program.name} ready", layout=self._layout, name=program.name)

    def _etcd(self) -> Program:
        url = f"https://{self._layout.address}"
        files = self._directory
        return self._program(
            "etcd",
            "etcd",
            {
                "name": CLUSTER_NAME,
                "data-dir": files / "etcd",
                "listen-client-urls": f"{url}:2379",
                "advertise-client-urls": f"{url}:2379",
                "listen-peer-urls": f"{url}:2380",
                "initial-advertise-peer-urls": f"{url}:2380",
                "initial-cluster": f"{CLUSTER_NAME}={url}:2380",
                "trusted-ca-file": self._layout.authority_certificate,
                "cert-file": files / "server.pem",
                "key-file": files / "server.key",
                "client-cert-auth": "true",
                "peer-trusted-ca-file": self._layout.authority_certificate,
                "peer-cert-file": files / "server.pem",
                "peer-key-file": files / "server.key",
                "peer-client-cert-auth": "true",
                "unsafe-no-fsync": "true",
                "log-level": "warn",
            },
            "2379/readyz",
        )

    def _api_server(self) -> Program:
        files = self._directory
        return self._program(
            "kube-apiserver",
            "kube-apiserver",
            {
                "etcd-servers": f"https://{self._layout.address}:2379",
                "etcd-cafile": self._layout.authority_certificate,
                "etcd-certfile": files / "api-server-client.pem",
                "etcd-keyfile": files / "api-server-client.key",
                "bind-address": self._layout.address,
                "advertise-address": str(ip_network(self._layout.pod_network)[1]),  # no loopback address is taken
                "secure-port": "6443",
                "endpoint-reconciler-type": "none",
                "service-cluster-ip-range": SERVICE_NETWORK,
                "authorization-mode": "Node,RBAC",
                "allow-privileged": "true",
                "client-ca-file": self._layout.authority_certificate,
                "requestheader-client-ca-file": self._layout.authority_certificate,
                "requestheader-allowed-names": "front-proxy",  # nobody: there are no aggregated APIs
                "requestheader-username-headers": "X-Remote-User",
                "tls-cert-file": files / "server.pem",
                "tls-private-key-file": files / "server.key",
                "service-account-issuer": self._layout.service_account_issuer,
                "service-account-jwks-uri": f"{self._layout.service_account_issuer}/keys",
                "service-account-key-file": files / "service-accounts.key",
                "service-account-signing-key-file": files / "service-accounts.key",
                "kubelet-certificate-authority": self._layout.authority_certificate,
                "kubelet-client-certificate": files / "api-server-client.pem",
                "kubelet-client-key": files / "api-server-client.key",
                "kubelet-preferred-address-types": "InternalIP",
                "egress-selector-config-file": files / "egress.yaml",
                # Policies that change objects, as webhooks do, by expressions: off by default in this release.
                "feature-gates": "MutatingAdmissionPolicy=true",
                "runtime-config": "admissionregistration.k8s.io/v1beta1=true",
                "profiling": "false",
            },
            "6443/readyz",
        )

    def _scheduler(self) -> Program:
        return self._controller("kube-scheduler", 10259, {})

    def _controller_manager(self) -> Program:
        files = self._directory
        flags = {
            "root-ca-file": self._layout.authority_certificate,
            "service-account-private-key-file": files / "service-accounts.key",
            "use-service-account-credentials": "true",
            "node-monitor-period": "1s",
        }
        return self._controller("kube-controller-manager", 10257, flags)

    def cloud_controller_manager(self, account: Account, config: Path) -> Program:
        """Return the AWS cloud controller manager, whose configuration file is `config`."""
        flags = {
            "cloud-provider": "aws",
            "cloud-config": config,
            "controllers": "service-lb-controller",
            "configure-cloud-routes": "false",
            "cluster-name": CLUSTER_NAME,
            "concurrent-service-syncs": str(SERVICE_SYNCS),
        }
        environment = {
            "AWS_ACCESS_KEY_ID": account.access_key_id,
            "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        return self._controller("aws-cloud-controller-manager", 10258, flags, environment)

    def _controller(
        self, name: str, port: int, flags: dict[str, str | Path], environment: dict[str, str] | None = None
    ) -> Program:
        """A program that watches the API server with a kubeconfig of its own and has a secure port for its health."""
        kubeconfig = self._directory / f"{name}.kubeconfig"
        common: dict[str, str | Path] = {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": self._layout.address,
            "secure-port": str(port),
            "tls-cert-file": self._directory / "server.pem",
            "tls-private-key-file": self._directory / "server.key",
            "leader-elect": "false",
            "profiling": "false",
        }
        return self._program(name, name, common | flags, f"{port}/healthz", environment)

    def _program(
        self,
        name: str,
        binary: str,
        flags: dict[str, str | Path],
        health: str,
        environment: dict[str, str] | None = None,
    ) -> Program:
        argv = [str(self._tools / binary), *(f"--{flag}={value}" for flag, value in flags.items())]
        url = f"https://{self._layout.address}:{health}"
        return Program(name, argv, {"PATH": os.defpath, **(environment or {})}, lambda: self._answers(url))

    def _answers(self, url: str) -> bool:
        context = ssl.create_default_context(cafile=self._layout.authority_certificate)
        context.load_cert_chain(self._directory / "api-server-client.pem", self._directory / "api-server-client.key")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(url, timeout=5) as response:
                return response.status == 200  # noqa: PLR2004
        except (urllib.error.URLError, OSError):
            return False

    def _prepare(self) -> None:
        """Make the keys, certificates and kubeconfigs that are not there yet."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._directory / "egress.yaml").write_text(yaml.safe_dump(egress_selector()))
        issuer = Authority.open(self._layout)
        key_file = self._directory / "service-accounts.key"
        if not key_file.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            authority.write_file(key_file, pem, mode=0o600)
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            authority.write_file(self._layout.service_account_public_key, public, mode=0o644)
        if not (self._directory / "server.pem").exists():
            server = issuer.issue(
                self._layout.address,
                str(ip_network(SERVICE_NETWORK)[1]),
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            )
            authority.write(server, self._directory / "server.pem", self._directory / "server.key")
        if not (self._directory / "api-server-client.pem").exists():
            leaf = issuer.issue("kube-apiserver", common_name="kube-apiserver", organization=ADMINISTRATORS)
            authority.write(leaf, self._directory / "api-server-client.pem", self._directory / "api-server-client.key")
        kubeconfig.write(self._layout, issuer, self._layout.kubeconfig, "administrator", ADMINISTRATORS)
        for name, group in {
            "kube-scheduler": None,
            "kube-controller-manager": None,
            "aws-cloud-controller-manager": ADMINISTRATORS,
        }.items():
            kubeconfig.write(self._layout, issuer, self._directory / f"{name}.kubeconfig", f"system:{name}", group)


def cloud_config(layout: Layout, account: Account) -> str:
    """Return the cloud controller manager's configuration file: the cluster's network, and moto in AWS's place."""
    lines = [
        "[Global]",
        f"Zone = {AVAILABILITY_ZONE}",
        f"Region = {REGION}",
        f"VPC = {account.vpc_id}",
        f"SubnetID = {account.subnet_id}",
        f"KubernetesClusterID = {CLUSTER_NAME}",
    ]
    for number, service in enumerate(AWS_SERVICES, 1):
        lines += [
            f'[ServiceOverride "{number}"]',
            f'Service = "{service}"',
            f"Region = {REGION}",
            f"URL = {layout.cloud_url}",
            f"SigningRegion = {REGION}",
        ]
    return "\n".join(lines) + "\n"


def egress_selector() -> dict[str, Any]:
    """Return how the API server reaches what is in the cluster: through the node's tunnel, as its address is no host's.

    The socket's path is relative to the sandbox's directory, in which the API server runs: it may be no longer than 107
    bytes.
    """
    through_the_node = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": NODE_TUNNEL}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {"name": "cluster", "connection": through_the_node},
            *({"name": name, "connection": {"proxyProtocol": "Direct"}} for name in ("controlplane", "etcd")),
        ],
    }
