"""IAM users, their access keys, roles, and the policies in line with both."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any, ClassVar

from typing_extensions import override

from sandbox.aws_plugin import policies
from sandbox.aws_plugin.errors import GoneError, accepting, gone_on
from sandbox.aws_plugin.resource import AutoName, Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.shapes import tag_list, tag_map, timestamp
from sandbox.aws_plugin.values import Properties

_NO_SUCH = "NoSuchEntity"


class _Principal(Resource):
    """What a user and a role have in common. `kind` is "User" or "Role", as in IAM's operations."""

    service = "iam"
    kind: ClassVar[str]
    auto_name = AutoName("name", longest=64)

    def _call(self, operation: str, name: str, **arguments: Any) -> Any:
        """Call `operation` (such as `tag_user`) on the principal `name`."""
        return getattr(self.client, operation)(**{f"{self.kind}Name": name}, **arguments)

    def _request(self, inputs: Properties) -> dict[str, Any]:
        """The arguments that CreateUser and CreateRole share, but the name."""
        request: dict[str, Any] = {"Path": inputs["path"]}
        if inputs.get("permissionsBoundary"):
            request["PermissionsBoundary"] = inputs["permissionsBoundary"]
        if tags := self.all_tags(inputs):
            request["Tags"] = tag_list(tags)
        return request

    def _configure_shared(self, name: str, inputs: Properties, state: Properties) -> None:
        """Bring tags and permissions boundary from `state` to `inputs`."""
        kind = self.kind.lower()
        old, new = state.get("tagsAll", {}), self.all_tags(inputs)
        if removed := sorted(old.keys() - new.keys()):
            self._call(f"untag_{kind}", name, TagKeys=removed)
        if new and new != old:
            self._call(f"tag_{kind}", name, Tags=tag_list(new))
        boundary = inputs.get("permissionsBoundary")
        if boundary and boundary != state.get("permissionsBoundary"):
            self._call(f"put_{kind}_permissions_boundary", name, PermissionsBoundary=boundary)
        elif not boundary and state.get("permissionsBoundary"):
            self._call(f"delete_{kind}_permissions_boundary", name)

    def _read_shared(self, name: str, state: Properties) -> tuple[Properties, Properties]:
        """AWS's answer and the outputs that user and role share; raises GoneError."""
        with gone_on(_NO_SUCH):
            answer = self._call(f"get_{self.kind.lower()}", name)[self.kind]
        return answer, {
            "arn": answer["Arn"],
            "name": answer[f"{self.kind}Name"],
            "path": answer["Path"],
            "permissionsBoundary": answer.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "uniqueId": answer[f"{self.kind}Id"],
            **self.tag_outputs(tag_map(answer.get("Tags", [])), state),
        }


class User(_Principal):
    """`aws.iam.User`. A change of its name renames it, as with the real provider."""

    pulumi_type = "aws:iam/user:User"
    kind = "User"
    defaults: ClassVar = {"forceDestroy": False, "path": "/"}
    local = frozenset({"forceDestroy"})
    derived: ClassVar = {"name": frozenset({"arn"}), "path": frozenset({"arn"})}

    @override
    def create(self, inputs: Properties) -> str:
        with self.doing(f"creating IAM User ({inputs['name']})"):
            self._call("create_user", inputs["name"], **self._request(inputs))
        return inputs["name"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if not state:
            return
        with self.doing(f"updating IAM User ({state['name']})"):
            if (inputs["name"], inputs["path"]) != (state["name"], state["path"]):
                self._call("update_user", state["name"], NewUserName=inputs["name"], NewPath=inputs["path"])
            self._configure_shared(inputs["name"], inputs, state)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        name = state.get("name", resource_id)
        with self.doing(f"reading IAM User ({name})"):
            return self._read_shared(name, state)[1]

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        name = state.get("name", resource_id)
        with self.doing(f"deleting IAM User ({name})"), accepting(_NO_SUCH):
            for group in self._call("list_groups_for_user", name)["Groups"]:
                self._call("remove_user_from_group", name, GroupName=group["GroupName"])
            if state.get("forceDestroy"):
                self._remove_credentials(name)
            self._call("delete_user", name)

    def _remove_credentials(self, user: str) -> None:
        """Delete the user's access keys, login profile, signing certificates, and take away its MFA devices."""
        for key in self._call("list_access_keys", user)["AccessKeyMetadata"]:
            self._call("delete_access_key", user, AccessKeyId=key["AccessKeyId"])
        for device in self._call("list_mfa_devices", user)["MFADevices"]:
            self._call("deactivate_mfa_device", user, SerialNumber=device["SerialNumber"])
        for certificate in self._call("list_signing_certificates", user)["Certificates"]:
            self._call("delete_signing_certificate", user, CertificateId=certificate["CertificateId"])
        with accepting(_NO_SUCH):
            self._call("delete_login_profile", user)


class Role(_Principal):
    """`aws.iam.Role`; its managed and in-line policies are resources of their own."""

    pulumi_type = "aws:iam/role:Role"
    kind = "Role"
    defaults: ClassVar = {"forceDetachPolicies": False, "maxSessionDuration": 3600, "path": "/"}
    replaces = frozenset({"name", "path"})
    local = frozenset({"forceDetachPolicies"})
    unsupported = frozenset({"namePrefix", "inlinePolicies", "managedPolicyArns"})
    absent_outputs = unsupported

    @override
    def create(self, inputs: Properties) -> str:
        request = {"MaxSessionDuration": inputs["maxSessionDuration"], **self._request(inputs)}
        if inputs.get("description"):
            request["Description"] = inputs["description"]
        with self.doing(f"creating IAM Role ({inputs['name']})"):
            self._call("create_role", inputs["name"], AssumeRolePolicyDocument=inputs["assumeRolePolicy"], **request)
        return inputs["name"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if not state:
            return
        with self.doing(f"updating IAM Role ({resource_id})"):
            # Each by a call of its own, if it differs, as the real one does: each needs a right.
            if inputs["assumeRolePolicy"] != state.get("assumeRolePolicy"):
                self._call("update_assume_role_policy", resource_id, PolicyDocument=inputs["assumeRolePolicy"])
            description = inputs.get("description") or ""
            if description != (state.get("description") or ""):
                self._call("update_role_description", resource_id, Description=description)
            if (session := inputs["maxSessionDuration"]) != state.get("maxSessionDuration"):
                # Without it moto takes the description away.
                self._call("update_role", resource_id, Description=description, MaxSessionDuration=session)
            self._configure_shared(resource_id, inputs, state)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading IAM Role ({resource_id})"):
            answer, shared = self._read_shared(resource_id, state)
        trust = json.dumps(answer["AssumeRolePolicyDocument"])
        return {
            **shared,
            "assumeRolePolicy": policies.keep_if_equivalent(state.get("assumeRolePolicy"), trust),
            "createDate": timestamp(answer["CreateDate"]),
            "description": answer.get("Description") or None,
            "maxSessionDuration": answer["MaxSessionDuration"],
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting IAM Role ({resource_id})"), accepting(_NO_SUCH):
            if state.get("forceDetachPolicies"):
                for policy in self._call("list_attached_role_policies", resource_id)["AttachedPolicies"]:
                    self._call("detach_role_policy", resource_id, PolicyArn=policy["PolicyArn"])
                for name in self._call("list_role_policies", resource_id)["PolicyNames"]:
                    self._call("delete_role_policy", resource_id, PolicyName=name)
            self._call("delete_role", resource_id)

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        return policies.problems(inputs, "assumeRolePolicy")


class _InlinePolicy(Resource):
    """A policy in line with a principal, with the id `<principal>:<policy>`. `kind` is "User" or "Role"."""

    service = "iam"
    kind: ClassVar[str]
    auto_name = AutoName("name", longest=128)
    unsupported = frozenset({"namePrefix"})
    absent_outputs = unsupported

    def _call(self, operation: str, resource_id: str, **arguments: Any) -> Any:
        principal, _, name = resource_id.partition(":")
        call = getattr(self.client, f"{operation}_{self.kind.lower()}_policy")
        return call(**{f"{self.kind}Name": principal}, PolicyName=name, **arguments)

    @override
    def create(self, inputs: Properties) -> str:
        resource_id = f"{inputs[self.kind.lower()]}:{inputs['name']}"
        self._put(resource_id, inputs)
        return resource_id

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if state:
            self._put(resource_id, inputs)

    def _put(self, resource_id: str, inputs: Properties) -> None:
        with self.doing(f"putting IAM {self.kind} Policy ({resource_id})"):
            self._call("put", resource_id, PolicyDocument=inputs["policy"])

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading IAM {self.kind} Policy ({resource_id})"), gone_on(_NO_SUCH):
            answer = self._call("get", resource_id)
        found = json.dumps(answer["PolicyDocument"])
        return {
            "name": answer["PolicyName"],
            "policy": policies.keep_if_equivalent(state.get("policy"), found),
            self.kind.lower(): answer[f"{self.kind}Name"],
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting IAM {self.kind} Policy ({resource_id})"), accepting(_NO_SUCH):
            self._call("delete", resource_id)

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        return policies.problems(inputs, "policy")


class UserPolicy(_InlinePolicy):
    """`aws.iam.UserPolicy`."""

    pulumi_type = "aws:iam/userPolicy:UserPolicy"
    kind = "User"
    replaces = frozenset({"name", "user"})


class RolePolicy(_InlinePolicy):
    """`aws.iam.RolePolicy`."""

    pulumi_type = "aws:iam/rolePolicy:RolePolicy"
    kind = "Role"
    replaces = frozenset({"name", "role"})


class AccessKey(Resource):
    """`aws.iam.AccessKey`: its secret is known from the creation only, and kept in the engine's state."""

    pulumi_type = "aws:iam/accessKey:AccessKey"
    service = "iam"
    defaults: ClassVar = {"status": "Active"}
    replaces = frozenset({"user"})
    unsupported = frozenset({"pgpKey"})
    secret_outputs = frozenset({"secret", "sesSmtpPasswordV4"})
    absent_outputs = unsupported | {"encryptedSecret", "encryptedSesSmtpPasswordV4", "keyFingerprint"}
    choices: ClassVar = {"status": ("Active", "Inactive")}

    @override
    def create(self, inputs: Properties) -> str:
        with self.doing(f"creating IAM Access Key ({inputs['user']})"):
            created = self.client.create_access_key(UserName=inputs["user"])["AccessKey"]
        self.once = {"secret": created["SecretAccessKey"]}
        return created["AccessKeyId"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if inputs["status"] != state.get("status", "Active"):
            with self.doing(f"updating IAM Access Key ({resource_id})"):
                self.client.update_access_key(UserName=inputs["user"], AccessKeyId=resource_id, Status=inputs["status"])

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading IAM Access Key ({resource_id})"), gone_on(_NO_SUCH):
            user = state.get("user") or self._owner(resource_id)
            keys = self.client.list_access_keys(UserName=user)["AccessKeyMetadata"]
        found = next((key for key in keys if key["AccessKeyId"] == resource_id), None)
        if found is None:
            raise GoneError
        secret = state.get("secret")
        return {
            "createDate": timestamp(found["CreateDate"]),
            "secret": secret,
            "sesSmtpPasswordV4": ses_smtp_password(secret, self.region) if secret else None,
            "status": found["Status"],
            "user": user,
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting IAM Access Key ({resource_id})"), accepting(_NO_SUCH):
            self.client.delete_access_key(UserName=state["user"], AccessKeyId=resource_id)

    def _owner(self, key: str) -> str:
        """The user of an imported key."""
        user = self.client.get_access_key_last_used(AccessKeyId=key).get("UserName")
        if not user:
            raise GoneError
        return user


def ses_smtp_password(secret: str, region: str) -> str:
    """The SMTP password of the access key with this `secret` for Amazon SES in `region`.

    Amazon SES Developer Guide, "Obtaining Amazon SES SMTP credentials": the algorithm, its constants, version 4.
    """
    signature = ("AWS4" + secret).encode()
    for message in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        signature = hmac.new(signature, message.encode(), hashlib.sha256).digest()
    return base64.b64encode(b"\x04" + signature).decode()
