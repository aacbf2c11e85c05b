"""What keeps the pods running, and healthy."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from registry.credentials import password_hash
from registry.settings import SettingsError
from tests.forms import POST
from tests.mock_engine import Deploy, Deployed, salt_of

LABELS = {"k8s-app": "kube-registry", "version": "v0", "kubernetes.io/cluster-service": "true"}
CONTROLLERS = pytest.mark.parametrize("controller", ["Deployment", "ReplicationController"])


def users_volume(deployed: Deployed) -> dict[str, Any]:
    (found,) = [volume for volume in deployed.pod()["volumes"] if "secret" in volume]
    return found


def container(deployed: Deployed) -> dict[str, Any]:
    (only,) = deployed.pod()["containers"]
    return only


def test_a_deployment_is_the_default_and_replaces_its_pods_all_at_once_but_never_has_fewer(deploy: Deploy) -> None:
    deployment = deploy().one("Deployment")
    metadata = {"name": "kube-registry", "namespace": "kube-system", "labels": LABELS}
    assert {key: deployment["metadata"][key] for key in metadata} == metadata
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}


def test_the_replication_controller_is_the_posts(deploy: Deploy) -> None:
    controller = deploy(controller="ReplicationController", replicas=1).one("ReplicationController")
    metadata = {"name": "kube-registry-v0", "namespace": "kube-system", "labels": LABELS}
    assert {key: controller["metadata"][key] for key in metadata} == metadata
    assert controller["spec"]["replicas"] == 1
    assert controller["spec"]["selector"] == {"k8s-app": "kube-registry", "version": "v0"}
    assert controller["spec"]["template"]["metadata"]["labels"] == LABELS


def test_another_template_gets_a_successor_whose_name_selector_and_labels_differ(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mock_engine.FIRST_TEMPLATE", "that of an earlier update")
    controller = deploy(controller="ReplicationController").one("ReplicationController")
    version = controller["spec"]["selector"]["version"]
    assert version != "v0"
    assert controller["metadata"]["name"] == f"kube-registry-{version}"
    assert controller["metadata"]["labels"]["version"] == version
    assert controller["spec"]["template"]["metadata"]["labels"]["version"] == version


def test_the_number_of_replicas_makes_no_successor(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mock_engine.FIRST_TEMPLATE", "that of an earlier update")
    names = {
        deploy(controller="ReplicationController", replicas=replicas).one("ReplicationController")["metadata"]["name"]
        for replicas in (1, 2)
    }
    assert len(names) == 1


@CONTROLLERS
def test_both_controllers_run_the_same_pod(deploy: Deploy, controller: str) -> None:
    assert deploy(controller=controller).pod() == deploy().pod()


def test_secrets_reach_the_container_from_kubernetes_secrets_only(deploy: Deploy) -> None:
    deployed = deploy()
    found = {secret.name: secret.inputs["stringData"] for secret in deployed.all("Secret")}
    assert {name: pulumi.runtime.rpc.unwrap_rpc_secret(data) for name, data in found.items()} == {
        "registry-access-key-secret": {
            "accessKey": "registry-access-key-id",
            "secretKey": "secret of registry-access-key",
        },
        "registry-secret": {
            "httpSecret": "result of registry-http-secret",
            "htpasswd": "registry:"
            + password_hash("result of registry-password-registry", salt_of("registry-password-salt-registry"))
            + "\n",
        },
    }
    environment = deployed.environment()
    for variable, name, key in [
        ("REGISTRY_STORAGE_S3_ACCESSKEY", "registry-access-key-secret-5e6f7a8b", "accessKey"),
        ("REGISTRY_STORAGE_S3_SECRETKEY", "registry-access-key-secret-5e6f7a8b", "secretKey"),
        ("REGISTRY_HTTP_SECRET", "registry-secret-5e6f7a8b", "httpSecret"),
    ]:
        assert environment[variable] == {"secretKeyRef": {"name": name, "key": key}}


def test_secrets_are_replaced_rather_than_changed_so_that_pods_roll(deploy: Deploy) -> None:
    for secret in deploy().all("Secret"):
        assert secret.inputs["immutable"] is True
        assert "name" not in secret.inputs["metadata"]


def test_every_update_of_a_deployment_looks_for_pods_with_a_former_access_key_or_port_also_one_that_changes_no_pod(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, int]] = []

    async def wait(namespace: str, _: object, secret: str, port: int, removal_seconds: int) -> None:
        asked.append((namespace, secret, port))

    monkeypatch.setattr("registry.former_pods.await_end", wait)
    deploy(namespace="images", controller="ReplicationController")
    assert asked == []
    deploy(namespace="images", preview=True)
    assert asked == []
    deploy(namespace="images")
    deploy(namespace="images", bucket={"endpoint": "https://s3.example.com:9000"})
    assert asked == [("images", "registry-access-key-secret-5e6f7a8b", port) for port in (443, 9000)]


def test_a_pod_is_ready_by_http_after_its_first_look_at_s3_and_alive_by_tcp(deploy: Deploy) -> None:
    registry = container(deploy())
    assert registry["readinessProbe"]["httpGet"] == {"path": "/", "port": "registry"}
    environment = deploy().environment()
    interval = int(environment["REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL"].removesuffix("s"))
    threshold = int(environment["REGISTRY_HEALTH_STORAGEDRIVER_THRESHOLD"])
    assert registry["readinessProbe"]["initialDelaySeconds"] > interval * threshold
    assert registry["livenessProbe"]["tcpSocket"] == {"port": "registry"}


def test_a_pod_may_not_write_its_file_system_run_as_root_or_gain_privileges(deploy: Deploy) -> None:
    deployed = deploy()
    pod = deployed.pod()["securityContext"]
    assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert pod["runAsUser"] > 0
    assert container(deployed)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_users_are_a_file_from_the_secret_and_nothing_else_of_it_is(deploy: Deploy) -> None:
    deployed = deploy()
    (mount,) = container(deployed)["volumeMounts"]
    volume = users_volume(deployed)
    assert volume["secret"] == {
        "secretName": "registry-secret-5e6f7a8b",
        "items": [{"key": "htpasswd", "path": "htpasswd"}],
    }
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert deployed.environment()["REGISTRY_AUTH_HTPASSWD_PATH"] == f"{mount['mountPath']}/htpasswd"


def test_the_users_file_may_be_read_by_the_pods_own_user(deploy: Deploy) -> None:
    """Kubelets give it to root, unlike the sandbox's: its mode has to let others read it, or fsGroup its group."""
    deployed = deploy()
    pod, volume = deployed.pod(), users_volume(deployed)
    (item,) = volume["secret"]["items"]
    mode = item.get("mode", volume["secret"].get("defaultMode", 0o644))
    assert mode & 0o004 or pod["securityContext"].get("fsGroup") is not None


def test_without_users_no_file_is_mounted(deploy: Deploy) -> None:
    deployed = deploy(**POST)
    assert not [volume for volume in deployed.pod()["volumes"] if "secret" in volume]
    assert "volumeMounts" not in container(deployed)


def test_the_pods_have_a_service_account_of_their_own_and_no_token(deploy: Deploy) -> None:
    deployed = deploy()
    account = deployed.one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert deployed.pod()["serviceAccountName"] == account["metadata"]["name"] == "kube-registry"
    assert deployed.pod()["automountServiceAccountToken"] is False


def test_the_network_policy_lets_in_the_registrys_port_and_out_to_dns_and_s3(deploy: Deploy) -> None:
    policy = deploy().one("NetworkPolicy")["spec"]
    assert policy["podSelector"] == {"matchLabels": {"k8s-app": "kube-registry"}}
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["ingress"] == [{"ports": [{"port": 5000, "protocol": "TCP"}]}]
    out = {(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]}
    assert out == {(53, "UDP"), (53, "TCP"), (443, "TCP")}


def test_the_network_policy_lets_out_to_the_port_of_another_s3_api(deploy: Deploy) -> None:
    for endpoint, port in {
        "https://s3.example.com": 443,
        "https://s3.example.com:9000": 9000,
        "http://s3.example.com": 80,
    }.items():
        deployed = deploy(bucket={"endpoint": endpoint, "tlsOnly": False})
        specs = {one.inputs["metadata"]["name"]: one.inputs["spec"] for one in deployed.all("NetworkPolicy")}
        assert specs.pop("kube-registry") == deploy().one("NetworkPolicy")["spec"]
        selected = {"podSelector": {"matchLabels": {"k8s-app": "kube-registry"}}, "policyTypes": ["Egress"]}
        assert specs == {
            f"kube-registry-s3-{other}": {**selected, "egress": [{"ports": [{"port": other, "protocol": "TCP"}]}]}
            for other in [port]
            if other != 443
        }


def test_pods_lose_no_s3_api_in_an_update_to_another_port_also_if_it_fails(deploy: Deploy) -> None:
    """The policy of the new port is there before the pods, and that of the former port goes at the end."""
    ports = {port: deploy(bucket={"endpoint": f"https://s3.example.com:{port}"}) for port in (8443, 9000)}
    for port, deployed in ports.items():
        own = f"registry-network-policy-s3-{port}-kube-system"
        assert own in deployed.options["registry-deployment-kube-system"].depends_on
        assert own in deployed.options["registry-network-policy-kube-system"].depends_on
        (other,) = ports.keys() - {port}
        assert f"registry-network-policy-s3-{other}-kube-system" not in deployed.options


def test_pods_reach_the_agent_of_pod_identity_where_they_need_it_and_nowhere_else(deploy: Deploy) -> None:
    deployed = deploy(identity="podIdentity", cluster="production")
    agent = deployed.named("registry-network-policy-pod-identity-agent-kube-system")["spec"]
    assert agent["policyTypes"] == ["Egress"]
    assert agent["egress"] == [
        {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"port": 80, "protocol": "TCP"}]}
    ]
    assert agent["podSelector"] == {"matchLabels": {"k8s-app": "kube-registry"}}
    assert len(deployed.all("NetworkPolicy")) == 2
    assert len(deploy().all("NetworkPolicy")) == 1


def test_the_network_policy_is_a_setting(deploy: Deploy) -> None:
    assert deploy(networkPolicy=False).all("NetworkPolicy") == []


@pytest.mark.parametrize("controller", ["Deployment", "ReplicationController"])
def test_pods_have_further_annotations_and_pull_their_image_with_secrets(deploy: Deploy, controller: str) -> None:
    deployed = deploy(controller=controller, podAnnotations={"example.com/scan": True}, imagePullSecrets=["mirror"])
    template = deployed.one(controller)["spec"]["template"]
    assert template["metadata"]["annotations"] == {"example.com/scan": "true"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    plain = deploy(controller=controller).one(controller)["spec"]["template"]
    assert "annotations" not in plain["metadata"]
    assert "imagePullSecrets" not in plain["spec"]


def test_other_annotations_of_the_pods_are_another_template(deploy: Deploy) -> None:
    def generation(**settings: Any) -> dict[str, Any]:
        return deploy(controller="ReplicationController", **settings).one("RandomId")["keepers"]

    assert generation() != generation(podAnnotations={"example.com/scan": "on"})


def test_an_ending_pod_outlives_its_place_among_the_endpoints_and_its_requests(deploy: Deploy) -> None:
    deployed = deploy()
    removal = container(deployed)["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(deployed.environment()["REGISTRY_HTTP_DRAINTIMEOUT"].removesuffix("s"))
    assert removal > 0
    assert deployed.pod()["terminationGracePeriodSeconds"] > removal + drain


def test_the_memory_limit_grows_with_the_chunk_size(deploy: Deploy) -> None:
    limits = {size: container(deploy(chunkSize=size))["resources"]["limits"]["memory"] for size in (5242880, 67108864)}
    assert limits == {5242880: "496Mi", 67108864: "3328Mi"}


def test_another_namespace_holds_all_kubernetes_objects(deploy: Deploy) -> None:
    deployed = deploy(namespace="registry")
    for kind in ("Secret", "ServiceAccount", "NetworkPolicy", "Deployment", "Service"):
        for resource in deployed.all(kind):
            assert resource.inputs["metadata"]["namespace"] == "registry"


def test_the_image_is_as_set(deploy: Deploy) -> None:
    assert container(deploy(image="registry:2.8.3"))["image"] == "registry:2.8.3"


@pytest.mark.parametrize(("image", "warnings"), [("registry:3.1.1", 1), ("registry:3.1.2", 0)])
def test_an_image_with_known_faults_is_warned_of_once(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, image: str, warnings: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, resource: said.append(message))
    deploy(image=image)
    assert [image in message for message in said] == [True] * warnings


GATE = "elbv2.k8s.aws/pod-readiness-gate-inject"
TARGETS = {"loadBalancer": {"class": "service.k8s.aws/nlb", "targetType": "ip"}}


def test_a_pod_that_is_a_target_goes_on_until_the_load_balancer_has_heard_of_its_end(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mock_engine.CLUSTER", {"namespace_labels": {GATE: "enabled"}})

    def seconds(**settings: Any) -> tuple[int, int, int, str]:
        deployed = deploy(**settings)
        pod = deployed.pod()
        return (
            pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
            pod["terminationGracePeriodSeconds"],
            deployed.one("Deployment")["spec"]["progressDeadlineSeconds"],
            deployed.options["registry-deployment-kube-system"].update_timeout,
        )

    assert seconds() == (5, 70, 150, "150s")
    assert seconds(**TARGETS) == (150, 215, 450, "450s")


def test_pods_as_targets_are_refused_in_a_namespace_without_readiness_gates(deploy: Deploy) -> None:
    with pytest.raises(SettingsError, match=f"kubectl label namespace kube-system {GATE}=enabled"):
        deploy(**TARGETS)
