"""KMS keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from typing_extensions import override

from sandbox.aws_plugin import policies
from sandbox.aws_plugin.errors import GoneError, accepting, gone_on
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.values import Properties

_GONE = "NotFoundException"
_DEFAULT_POLICY = "default"
"""The only name that a key's policy can have."""


class Key(Resource):
    """`aws.kms.Key`, symmetric or not. Deleting one schedules its deletion, as KMS never deletes at once."""

    pulumi_type = "aws:kms/key:Key"
    service = "kms"
    defaults: ClassVar = {
        "bypassPolicyLockoutSafetyCheck": False,
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
    }
    replaces = frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion"})
    computed = frozenset({"description", "multiRegion", "policy", "rotationPeriodInDays"})
    local = frozenset({"bypassPolicyLockoutSafetyCheck", "deletionWindowInDays"})
    unsupported = frozenset({"customKeyStoreId", "rotationPeriodInDays", "xksKeyId"})
    absent_outputs = unsupported

    @override
    def create(self, inputs: Properties) -> str:
        request: dict[str, Any] = {"KeySpec": inputs["customerMasterKeySpec"], "KeyUsage": inputs["keyUsage"]}
        for name in ("description", "multiRegion", "policy"):
            if inputs.get(name):
                request[name[0].upper() + name[1:]] = inputs[name]
        if tags := self.all_tags(inputs):
            request["Tags"] = [{"TagKey": key, "TagValue": value} for key, value in tags.items()]
        with self.doing("creating KMS Key"):
            return self.client.create_key(**request)["KeyMetadata"]["KeyId"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        with self.doing(f"updating KMS Key ({resource_id})"):
            if inputs["enableKeyRotation"] != state.get("enableKeyRotation", False):
                rotate = (
                    self.client.enable_key_rotation if inputs["enableKeyRotation"] else self.client.disable_key_rotation
                )
                rotate(KeyId=resource_id)
            if inputs["isEnabled"] != state.get("isEnabled", True):
                switch = self.client.enable_key if inputs["isEnabled"] else self.client.disable_key
                switch(KeyId=resource_id)
            if not state:
                return
            if "description" in inputs and inputs["description"] != state.get("description"):
                self.client.update_key_description(KeyId=resource_id, Description=inputs["description"])
            if "policy" in inputs and inputs["policy"] != state.get("policy"):
                self.client.put_key_policy(KeyId=resource_id, PolicyName=_DEFAULT_POLICY, Policy=inputs["policy"])
            old, new = state.get("tagsAll", {}), self.all_tags(inputs)
            if removed := sorted(old.keys() - new.keys()):
                self.client.untag_resource(KeyId=resource_id, TagKeys=removed)
            if new and new != old:
                tags = [{"TagKey": key, "TagValue": value} for key, value in new.items()]
                self.client.tag_resource(KeyId=resource_id, Tags=tags)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading KMS Key ({resource_id})"), gone_on(_GONE):
            found = self.client.describe_key(KeyId=resource_id)["KeyMetadata"]
            if found["KeyState"] == "PendingDeletion":
                raise GoneError
            rotated = (
                found["KeySpec"] == "SYMMETRIC_DEFAULT"
                and (self.client.get_key_rotation_status(KeyId=resource_id)["KeyRotationEnabled"])
            )
            policy = self.client.get_key_policy(KeyId=resource_id, PolicyName=_DEFAULT_POLICY)["Policy"]
            tags = self.client.list_resource_tags(KeyId=resource_id)["Tags"]
        return {
            "arn": found["Arn"],
            "customerMasterKeySpec": found["KeySpec"],
            "description": found.get("Description", ""),
            "enableKeyRotation": rotated,
            "isEnabled": found["Enabled"],
            "keyId": found["KeyId"],
            "keyUsage": found["KeyUsage"],
            "multiRegion": found.get("MultiRegion", False),
            "policy": policies.keep_if_equivalent(state.get("policy"), policy),
            **self.tag_outputs({tag["TagKey"]: tag["TagValue"] for tag in tags}, state),
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        window = {"PendingWindowInDays": state["deletionWindowInDays"]} if state.get("deletionWindowInDays") else {}
        with self.doing(f"deleting KMS Key ({resource_id})"), accepting(_GONE, "KMSInvalidStateException"):
            self.client.schedule_key_deletion(KeyId=resource_id, **window)

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        return policies.problems(inputs, "policy")

    @override
    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        return policies.canonical(value) if name == "policy" else super().normal(name, value, properties)
