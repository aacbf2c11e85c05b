"""The kubelet of the cluster's release: what it is told, and its process."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from sandbox import authority, kubeconfig
from sandbox.authority import Authority
from sandbox.layout import AVAILABILITY_ZONE, REGION, Account, Layout
from sandbox.node.directories import NodeDirectories
from sandbox.node.kubelet_init import LOGS, ROOT, Launch

RUNTIME_SOCKET = "cri.sock"
"""The CRI server's Unix socket, in the kubelet's directory."""
CLUSTER_DNS = "172.20.0.10"
"""What EKS takes for clusters in 10.0.0.0/8."""
CONFIGURATION_FILE, KUBECONFIG_FILE, AUTHORITY_FILE = "config.yaml", "kubeconfig", "authority.pem"
CERTIFICATE_FILE, KEY_FILE = "server.pem", "server.key"
MOUNT_PROGRAMS = ("mount", "umount")
"""What it starts. It finds no other program: seeing systemd's it would hand its mounts to the machine's systemd."""


def write_files(layout: Layout, account: Account, directory: Path) -> None:
    """Write what the kubelet reads to `directory`, which it sees as its own."""
    issuer, name = Authority.open(layout), account.private_dns_name
    kubeconfig.write(layout, issuer, directory / KUBECONFIG_FILE, f"system:node:{name}", "system:nodes")
    authority.write(issuer.issue(account.private_ip, name), directory / CERTIFICATE_FILE, directory / KEY_FILE)
    (directory / AUTHORITY_FILE).write_bytes(layout.authority_certificate.read_bytes())
    (directory / CONFIGURATION_FILE).write_text(yaml.safe_dump(configuration(account)))


def configuration(account: Account) -> dict[str, Any]:
    """Return the kubelet's configuration, for a user who may make no cgroup."""
    signals = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "providerID": f"aws:///{AVAILABILITY_ZONE}/{account.instance_id}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{ROOT}/{AUTHORITY_FILE}"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{ROOT}/{CERTIFICATE_FILE}",
        "tlsPrivateKeyFile": f"{ROOT}/{KEY_FILE}",
        "containerRuntimeEndpoint": f"unix://{ROOT}/{RUNTIME_SOCKET}",
        "volumePluginDir": f"{ROOT}/volume-plugins",
        "podLogsDir": LOGS,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "serializeImagePulls": False,
        # In a user namespace, without cgroups of its own:
        "featureGates": {"KubeletInUserNamespace": True},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": ["none"],
        "failCgroupV1": False,
        "failSwapOn": False,
        # The machine's disk and memory are its user's: a full one is no reason to end pods or to remove images.
        "localStorageCapacityIsolation": False,
        "evictionHard": dict.fromkeys(signals, "0%"),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


async def start(
    binary: Path, account: Account, *, directories: NodeDirectories, network: int, log: Path
) -> asyncio.subprocess.Process:
    """Start the kubelet, in the network namespace of the file descriptor `network`; its output is added to `log`.

    Raises FileNotFoundError if the machine has no mount(8).
    """
    name = account.private_dns_name
    labels = {"topology.kubernetes.io/region": REGION, "topology.kubernetes.io/zone": AVAILABILITY_ZONE}
    flags = {
        "config": f"{ROOT}/{CONFIGURATION_FILE}",
        "kubeconfig": f"{ROOT}/{KUBECONFIG_FILE}",
        "root-dir": ROOT,
        "cert-dir": f"{ROOT}/pki",
        "hostname-override": name,
        "node-ip": account.private_ip,
        "node-labels": ",".join(f"{label}={value}" for label, value in labels.items()),
    }
    launch = Launch(
        parent=os.getpid(),
        network=network,
        root=str(directories.kubelet),
        logs=str(directories.logs),
        programs={"kubelet": str(binary)} | {program: _find(program) for program in MOUNT_PROGRAMS},
        argv=["kubelet", *(f"--{flag}={value}" for flag, value in flags.items())],
    )
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *launch.command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[network],
            cwd=Path(__file__).parents[2],
        )


def _find(program: str) -> str:
    found = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise FileNotFoundError(f"{program} is not on PATH, and the kubelet needs it: sudo apt-get install mount")
    return found
