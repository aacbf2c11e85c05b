"""An EKS cluster of the emulated AWS whose tokens the tests sign, and roles for its ServiceAccounts."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from joserfc import jwt
from joserfc.jwk import RSAKey

from sandbox.aws.clusters import ControlPlane, control_planes
from sandbox.layout import REGION
from tests.sandbox.aws.emulated_aws import EmulatedAws

NAMESPACE = "kube-system"
SERVICE_ACCOUNT = "kube-registry"
STS = "sts.amazonaws.com"
PODS = "pods.eks.amazonaws.com"


class EksCluster:
    """A cluster with an IAM provider for its issuer, whose API server is this."""

    def __init__(self, aws: EmulatedAws, directory: Path) -> None:
        """Keep the public key in `directory`."""
        self._aws = aws
        self.name = f"cluster-{uuid.uuid4().hex[:8]}"
        self.key = RSAKey.generate_key(2048)
        public = directory / f"{self.name}.pem"
        public.write_bytes(self.key.as_pem(private=False))
        issuer = f"https://oidc.eks.{REGION}.amazonaws.com/id/{uuid.uuid4().hex.upper()}"
        control_planes[self.name] = ControlPlane(issuer, public, "https://api.test", version="1.34")
        role = "arn:aws:iam::123456789012:role/cluster"
        made = aws.client("eks").create_cluster(name=self.name, roleArn=role, resourcesVpcConfig={})["cluster"]
        self.arn: str = made["arn"]
        self.issuer: str = made["identity"]["oidc"]["issuer"]
        iam = aws.client("iam")
        provider = iam.create_open_id_connect_provider(Url=self.issuer, ClientIDList=[STS])
        self.provider: str = provider["OpenIDConnectProviderArn"]

    @property
    def subject_key(self) -> str:
        """The condition key of a token's subject."""
        return f"{self.issuer.removeprefix('https://')}:sub"

    @property
    def audience_key(self) -> str:
        """The condition key of a token's audience."""
        return f"{self.issuer.removeprefix('https://')}:aud"

    def token(
        self,
        audience: str,
        namespace: str = NAMESPACE,
        service_account: str = SERVICE_ACCOUNT,
        *,
        seconds: float = 600,
        issuer: str = "",
        key: RSAKey | None = None,
    ) -> str:
        """A token as the kubelet projects it into a pod; it ends in `seconds`."""
        claims = {
            "iss": issuer or self.issuer,
            "sub": f"system:serviceaccount:{namespace}:{service_account}",
            "aud": [audience],
            "exp": int(time.time() + seconds),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": service_account, "uid": str(uuid.uuid4())},
                "pod": {"name": "kube-registry-0", "uid": str(uuid.uuid4())},
            },
        }
        return jwt.encode({"alg": "RS256"}, claims, key or self.key)

    def unsigned(self, audience: str) -> str:
        """The same token with `none` for its algorithm, and no signature."""
        header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        return ".".join([header, self.token(audience).split(".")[1], ""])

    def web_identity_trust(self, **equals: str) -> dict[str, Any]:
        """The trust for exactly the ServiceAccount, with `equals` in place of some of its conditions."""
        subject = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
        return {
            "Effect": "Allow",
            "Principal": {"Federated": self.provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {self.audience_key: STS, self.subject_key: subject, **equals}},
        }

    def pod_identity_trust(self, **equals: str) -> dict[str, Any]:
        """The trust for pods of the ServiceAccount in this cluster, by session tags."""
        tags = {
            "kubernetes-namespace": NAMESPACE,
            "kubernetes-service-account": SERVICE_ACCOUNT,
            "eks-cluster-arn": self.arn,
            **equals,
        }
        return {
            "Effect": "Allow",
            "Principal": {"Service": PODS},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {f"aws:RequestTag/{name}": value for name, value in tags.items()}},
        }

    def associate(self, role_arn: str, namespace: str = NAMESPACE, **arguments: Any) -> dict[str, Any]:
        """Associate the ServiceAccount with a role, and return the association."""
        return self._aws.client("eks").create_pod_identity_association(
            clusterName=self.name, namespace=namespace, serviceAccount=SERVICE_ACCOUNT, roleArn=role_arn, **arguments
        )["association"]


def new_role(aws: EmulatedAws, trust: dict[str, Any], *statements: dict[str, Any], **arguments: Any) -> str:
    """Make a role that trusts by `trust` and may do what `statements` say, and return its ARN."""
    name = f"role-{uuid.uuid4().hex[:8]}"
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust), **arguments)["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=policy(*statements))
    return role["Arn"]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def web_identity(aws: EmulatedAws) -> Callable[..., dict[str, Any]]:
    """Assume a role by a token, without any key, as pods do."""
    config = Config(signature_version=UNSIGNED, proxies={}, retries={"total_max_attempts": 1})
    sts = boto3.client("sts", endpoint_url=aws.url, region_name=REGION, config=config)

    def assume(role: str, token: str, **arguments: Any) -> dict[str, Any]:
        given = {"RoleSessionName": "registry", **arguments}
        return sts.assume_role_with_web_identity(RoleArn=role, WebIdentityToken=token, **given)

    return assume
