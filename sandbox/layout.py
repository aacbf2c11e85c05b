"""Where everything of one sandbox is: its directories, its loopback addresses, its ports, its clients' environment.

Every sandbox has a loopback network 127.N.0.0/16 of its own, so that several run side by side on the same ports.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

DOMAIN = "sandbox.test"
"""The hosted zone that the emulated account is found with."""

MEMBER_ADMINISTRATOR = "OrganizationAccountAccessRole"
"""The role, in an account that `organizations create-account` made, which the sandbox's account may assume."""

REGION = "us-east-1"
AVAILABILITY_ZONE = "us-east-1a"
SUBNET_CIDR = "172.31.0.0/20"
"""The addresses of the account's one subnet."""
LOAD_BALANCER_IP = "172.31.15.254"
"""The one from which load balancers come to targets by address, unless they preserve their clients' addresses."""
CLUSTER_NAME = "sandbox"
DEFAULT_NETWORK = 77
UNUSED_PORT = 4568
"""Nothing of the sandbox listens there, and pods may reach it: a test that does is an S3 as it pleases."""
POD_IDENTITY_AGENT_PORT = 4569

PORTS = {
    4566: "the emulated AWS",
    4567: "the emulated AWS by TLS",
    POD_IDENTITY_AGENT_PORT: "the EKS Pod Identity Agent",
    6443: "kube-apiserver",
    3128: "the edge",
    2379: "etcd",
    2380: "etcd",
    10257: "kube-controller-manager",
    10258: "aws-cloud-controller-manager",
    10259: "kube-scheduler",
}
"""The ports that a sandbox takes of `Layout.address`, and what listens there."""
NODE_TUNNEL = "node.sock"
"""The Unix socket, in `Layout.directory`, by which the API server reaches the node's network: an HTTP CONNECT proxy."""
PASSPHRASE = "sandbox"  # noqa: S105 (said below)
"""Encrypts the secrets in the state of sandbox stacks, whose cloud ends with the sandbox: no secret itself."""


PACKAGE_INDEX = ("pypi.org", "files.pythonhosted.org")
"""What `pulumi install` needs of the world outside: the one thing that clients of a sandbox reach there."""


def cache_directory() -> Path:
    """The directory outside the checkout that keeps built tools and running sandboxes (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kubernetes-registry-sandbox"


@dataclass(frozen=True)
class Account:
    """The emulated AWS account as it is found: its administrator, network, instance and hosted zone.

    `aws/server.py` makes it and writes it to `Layout.account_file`; everything else only reads it.
    """

    access_key_id: str
    secret_access_key: str
    vpc_id: str
    subnet_id: str
    instance_id: str
    private_dns_name: str
    private_ip: str
    zone_id: str

    @classmethod
    def load(cls, path: Path) -> Account:
        """Read the account from `path`, a JSON object of the fields.

        Raises FileNotFoundError before the cloud is up.
        """
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Write the account to `path`, readable by its owner only; whole or not at all."""
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=2))
        new.replace(path)


@dataclass(frozen=True)
class Layout:
    """One sandbox: `name` names its directory, `network` (1 to 254) is the N of its addresses 127.N.0.0/16."""

    name: str = "default"
    network: int = DEFAULT_NETWORK

    @property
    def directory(self) -> Path:
        """All that this sandbox writes is below here; `down` removes it."""
        return cache_directory() / "sandboxes" / self.name

    @property
    def address(self) -> str:
        """The loopback address of everything that is not a pod."""
        return f"127.{self.network}.0.1"

    @property
    def pod_network(self) -> str:
        """The pods' addresses as Kubernetes knows them: it takes no loopback address for an endpoint."""
        return f"10.{self.network}.0.0/16"

    @staticmethod
    def loopback_of(pod_ip: str) -> str:
        """The loopback address that serves the pod with the address `pod_ip`: 10.N.x.y is served on 127.N.x.y."""
        return "127." + pod_ip.split(".", 1)[1]

    @property
    def node_address(self) -> str:
        """Whence comes, on the machine, what the node sends to pods; pods' network policies always let it in."""
        return f"127.{self.network}.0.2"

    @property
    def load_balancer_address(self) -> str:
        """Whence comes, on the machine, what has the address LOAD_BALANCER_IP."""
        return f"127.{self.network}.0.3"

    @property
    def cloud_url(self) -> str:
        """The emulated AWS over HTTP."""
        return f"http://{self.address}:4566"

    @property
    def cloud_tls_url(self) -> str:
        """The same over HTTPS, with a certificate of the sandbox's authority."""
        return f"https://{self.address}:4567"

    @property
    def kubernetes_url(self) -> str:
        """The Kubernetes API server."""
        return f"https://{self.address}:6443"

    @property
    def service_account_issuer(self) -> str:
        """The issuer of the ServiceAccounts' tokens, in the form of EKS's clusters; each sandbox has its own."""
        identifier = hashlib.sha256(self.name.encode()).hexdigest()[:32].upper()
        return f"https://oidc.eks.{REGION}.amazonaws.com/id/{identifier}"

    @property
    def service_account_public_key(self) -> Path:
        """The public key of these tokens, in PEM; there once the control plane has been started."""
        return self.directory / "cluster" / "service-accounts.pem"

    @property
    def edge_url(self) -> str:
        """The HTTP proxy behind which the names of the emulated Route53 resolve."""
        return f"http://{self.address}:3128"

    @property
    def pod_identity_agent_url(self) -> str:
        """The EKS Pod Identity Agent, which pods reach at its link-local address."""
        return f"http://{self.address}:{POD_IDENTITY_AGENT_PORT}"

    @property
    def registry_hosts(self) -> Path:
        """The directory in which a test tells the node of registries without TLS, as containerd's `certs.d`."""
        return self.directory / "certs.d"

    @property
    def node_edge_url(self) -> str:
        """The same for the node's pulls: who comes by it has the node's address."""
        return f"http://{self.node_address}:3128"

    @property
    def target_health_file(self) -> Path:
        """How the edge finds the targets of load balancers, for the emulated AWS to tell."""
        return self.directory / "target-health.json"

    @property
    def account_file(self) -> Path:
        """The emulated account (see Account), readable by its owner only."""
        return self.directory / "account.json"

    @property
    def authority_directory(self) -> Path:
        """The sandbox's certificate authority: `ca.pem` (public) and `ca.key` (owner only)."""
        return self.directory / "authority"

    @property
    def authority_certificate(self) -> Path:
        """What clients trust: the public certificate of the sandbox's authority."""
        return self.authority_directory / "ca.pem"

    @property
    def trusted_certificates(self) -> Path:
        """The same, and the public authorities, for what reaches the package index too."""
        return self.authority_directory / "trusted.pem"

    @property
    def tools(self) -> Path:
        """A link to the directory of the tools with which the sandbox was started."""
        return self.directory / "tools"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file `<process>.log` for each process of the sandbox."""
        return self.directory / "logs"

    @property
    def pods(self) -> Path:
        """What the node keeps of pods."""
        return self.directory / "pods"

    @property
    def container_logs(self) -> Path:
        """The containers' logs: `<namespace>_<pod>_<uid>/<container>/<restarts>.log`, in the format of the CRI."""
        return self.pods / "logs"

    def client_environment(self, account: Account, tools: Path) -> dict[str, str]:
        """The variables with which clients reach this sandbox and nothing of the user's own.

        `tools` is the directory of the built tools. Holds the emulated account's administrator key.
        """
        path = [str(Path(sys.executable).parent), str(tools), os.environ.get("PATH", os.defpath)]
        authority, proxy = str(self.authority_certificate), self.edge_url
        # Clients differ in what they understand of it: names and addresses all of them, ranges some.
        direct = ",".join(["localhost", "127.0.0.1", self.address, "127.0.0.0/8", *PACKAGE_INDEX])
        return {
            "PATH": os.pathsep.join(path),
            "PULUMI_HOME": str(self.directory / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{self.directory}/state",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # The language host asks pip for the installed packages, which would look for its own next release first.
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.directory / "kubectl"),
            "DOCKER_CONFIG": str(self.directory / "docker"),
            # By TLS, as the bucket's policy asks of everyone.
            "AWS_ENDPOINT_URL": self.cloud_tls_url,
            # By whom each is read: AWS's SDKs; Go, OpenSSL, uv; curl; Python's requests and what is built on it.
            "AWS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
            "CURL_CA_BUNDLE": authority,
            "REQUESTS_CA_BUNDLE": str(self.trusted_certificates),  # pip is built on it, and wants PyPI
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": account.access_key_id,
            "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **{name: proxy for scheme in ("http_proxy", "https_proxy") for name in (scheme, scheme.upper())},
            "no_proxy": direct,
            "NO_PROXY": direct,
        }
