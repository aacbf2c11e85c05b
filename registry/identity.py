"""Identity: who the registry is to AWS."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from registry.policies import registry_policy


class Identity(pulumi.ComponentResource):
    """An IAM user with an access key, that may use the one bucket and nothing else.

    `rotation`: another value than before makes another key.

    Outputs: `access_key_id` (Output[str]) and `secret_access_key` (secret Output[str]).
    """

    access_key_id: pulumi.Output[str]
    secret_access_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        bucket_arn: pulumi.Input[str],
        kms_key_arn: str | None,
        rotation: int | str,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Identity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        user = aws.iam.User(f"{name}-user", tags=tags, opts=child)
        document = pulumi.Output.from_input(bucket_arn).apply(lambda arn: registry_policy(arn, kms_key_arn=kms_key_arn))
        policy = aws.iam.UserPolicy(
            f"{name}-policy", user=user.name, policy=pulumi.Output.json_dumps(document), opts=child
        )
        # The key comes after the policy, so that whoever holds the key may use it. Pulumi deletes a key that is rotated
        # last of all, when the pods have rolled onto its successor.
        access_key = aws.iam.AccessKey(
            f"{name}-access-key",
            user=user.name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy], replacement_trigger=rotation),
        )

        self.access_key_id = access_key.id
        self.secret_access_key = access_key.secret
        self.register_outputs({})
