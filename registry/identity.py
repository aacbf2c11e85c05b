"""Identity: who the registry is to AWS."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from registry.pod_credentials import PodCredentials, of_pod_identity, of_web_identity
from registry.policies import pod_identity_trust_policy, registry_policy, web_identity_trust_policy
from registry.settings import Settings

ASSOCIATION_SECONDS = 30
"""How long EKS may take to give pods an association's other role, at an update: "several seconds", as
docs.aws.amazon.com/eks/latest/APIReference/API_UpdatePodIdentityAssociation.html says. A pod that gets the former one
keeps it, for hours, when it is long deleted."""


@dataclass(frozen=True)
class AccessKey:
    """The key of an IAM user; `secret` is a secret."""

    id: pulumi.Output[str]
    secret: pulumi.Output[str]


class _Common(TypedDict):
    """What user and role are made with alike."""

    path: str | None
    permissions_boundary: str | None
    tags: Mapping[str, str]
    opts: pulumi.ResourceOptions


class Identity(pulumi.ComponentResource):
    """An IAM user with an access key, or a role that the pods take; it may use the one bucket and nothing else.

    `settings`: `identity`, and what goes with it. `trusted_arn`: whom a role trusts to say that a pod has the
    ServiceAccount `service_account`: the cluster's OIDC provider with irsa, the EKS cluster with podIdentity.

    Outputs: `of_pods`, what the pods act by. `ready`: what must be there before they do. Of another kind it is another
    thing: Pulumi deletes the former last of all, when the pods have rolled.
    """

    of_pods: AccessKey | PodCredentials
    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        service_account: str,
        trusted_arn: str,
        bucket_arn: pulumi.Input[str],
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Identity", name, None, opts)
        document = pulumi.Output.from_input(bucket_arn).apply(
            lambda arn: registry_policy(arn, kms_key_arn=settings.bucket.kms_key_arn)
        )
        policy = pulumi.Output.json_dumps(document)
        common: _Common = {
            "path": None if settings.path == "/" else settings.path,
            "permissions_boundary": settings.permissions_boundary or None,
            "tags": tags,
            "opts": pulumi.ResourceOptions(parent=self),
        }
        if settings.identity == "user":
            self.of_pods, self.ready = self._user(name, policy, settings.rotation.access_key, common), []
        else:
            self.of_pods, self.ready = self._role(
                name, policy, common, settings=settings, service_account=service_account, trusted_arn=trusted_arn
            )
        self.register_outputs({})

    def _user(self, name: str, policy: pulumi.Output[str], rotation: int | str, common: _Common) -> AccessKey:
        """`rotation`: another value than before makes another key."""
        user = aws.iam.User(f"{name}-user", **common)
        user_policy = aws.iam.UserPolicy(
            f"{name}-policy", user=user.name, policy=policy, opts=pulumi.ResourceOptions(parent=self)
        )
        # The key comes after the policy, so that whoever holds the key may use it. Pulumi deletes a key that is rotated
        # last of all, when the pods have rolled onto its successor.
        access_key = aws.iam.AccessKey(
            f"{name}-access-key",
            user=user.name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[user_policy], replacement_trigger=rotation),
        )
        return AccessKey(access_key.id, access_key.secret)

    def _role(
        self,
        name: str,
        policy: pulumi.Output[str],
        common: _Common,
        *,
        settings: Settings,
        service_account: str,
        trusted_arn: str,
    ) -> tuple[PodCredentials, list[pulumi.Resource]]:
        """A role that trusts another cluster or namespace is another one, whose name tells it by a digest: so the pods
        there, and those of before if the new ones get no credentials, act by theirs until nobody does."""
        namespace, is_web_identity = settings.namespace, settings.identity == "irsa"
        trust = web_identity_trust_policy if is_web_identity else pod_identity_trust_policy
        document = json.dumps(trust(trusted_arn, namespace, service_account))
        kind = "web-identity" if is_web_identity else "pod-identity"
        suffix = f"{kind}-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(f"{name}-role-{suffix}", assume_role_policy=document, **common)
        role_policy = aws.iam.RolePolicy(f"{name}-policy-{suffix}", role=role.name, policy=policy, opts=child)
        if is_web_identity:
            return of_web_identity(role.arn), [role_policy]
        association = aws.eks.PodIdentityAssociation(
            f"{name}-association-{suffix}",
            cluster_name=settings.cluster,
            namespace=namespace,
            service_account=service_account,
            role_arn=role.arn,
            tags=common["tags"],
            opts=pulumi.ResourceOptions(parent=self, hooks=pulumi.ResourceHookBinding(after_update=[_associated()])),
        )
        return of_pod_identity(role.arn), [role_policy, association]


def _associated() -> pulumi.ResourceHook:
    """Waits until pods get the role that the association has now."""

    async def wait(_: pulumi.ResourceHookArgs) -> None:
        await asyncio.sleep(ASSOCIATION_SECONDS)

    return pulumi.ResourceHook("wait-for-association", wait)
