"""What is configured on an S3 bucket: each kind is a resource of its own, with the bucket's name as id."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from botocore.model import Shape
from typing_extensions import override

from sandbox.aws_plugin import policies
from sandbox.aws_plugin.errors import GoneError, PluginError, accepting, gone_on
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.shapes import from_aws, to_aws
from sandbox.aws_plugin.values import Properties, prune


class BucketConfiguration(Resource):
    """One kind of configuration of a bucket: put at creation and update, got, deleted."""

    service = "s3"
    replaces = frozenset({"bucket", "expectedBucketOwner"})
    title: ClassVar[str]
    """What the real provider calls it in its errors."""
    gone_codes: ClassVar[tuple[str, ...]] = ()
    """AWS's codes for a bucket that has none."""

    @abstractmethod
    def put(self, target: Properties, inputs: Properties) -> None:
        """Put the configuration on the bucket `target` (keyword arguments `Bucket`, `ExpectedBucketOwner`)."""

    @abstractmethod
    def get(self, target: Properties, state: Properties) -> Properties:
        """The configuration's own outputs; raises GoneError."""

    @abstractmethod
    def remove(self, target: Properties, state: Properties) -> None:
        """Delete the configuration."""

    @override
    def create(self, inputs: Properties) -> str:
        resource_id = _resource_id(inputs)
        with self.doing(f"creating {self.title} ({resource_id})"):
            self.put(_target(resource_id), inputs)
        return resource_id

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if state:
            with self.doing(f"updating {self.title} ({resource_id})"):
                self.put(_target(resource_id), inputs)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        target = _target(resource_id)
        with self.doing(f"reading {self.title} ({resource_id})"), gone_on("NoSuchBucket", *self.gone_codes):
            found = self.get(target, state)
        owner = {"expectedBucketOwner": target.get("ExpectedBucketOwner")}
        return {"bucket": target["Bucket"], **(owner if "expectedBucketOwner" in self.schema().inputs else {}), **found}

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting {self.title} ({resource_id})"), accepting("NoSuchBucket", *self.gone_codes):
            self.remove(_target(resource_id), state)

    def shape(self, name: str) -> Shape:
        """boto3's shape `name`."""
        return self.client.meta.service_model.shape_for(name)


class ServerSideEncryption(BucketConfiguration):
    """`aws.s3.BucketServerSideEncryptionConfiguration`: the default encryption."""

    pulumi_type = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    title = "S3 Bucket Server-side Encryption Configuration"
    gone_codes = ("ServerSideEncryptionConfigurationNotFoundError",)
    unsupported = frozenset({"rules.blockedEncryptionTypes"})
    choices: ClassVar = {
        "rules.applyServerSideEncryptionByDefault.sseAlgorithm": ("AES256", "aws:fsx", "aws:kms", "aws:kms:dsse")
    }

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        rules = to_aws(inputs["rules"], self.shape("ServerSideEncryptionRules"))
        self.client.put_bucket_encryption(**target, ServerSideEncryptionConfiguration={"Rules": rules})

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        answer = self.client.get_bucket_encryption(**target)["ServerSideEncryptionConfiguration"]
        rules = from_aws(answer["Rules"], self.shape("ServerSideEncryptionRules"), self.schema().inputs["rules"])
        return {"rules": rules}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        self.client.delete_bucket_encryption(**target)


class Logging(BucketConfiguration):
    """`aws.s3.BucketLogging`: where the access logs go."""

    pulumi_type = "aws:s3/bucketLogging:BucketLogging"
    title = "S3 Bucket Logging"
    unsupported = frozenset({"targetGrants", "targetObjectKeyFormat"})

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        enabled = {"TargetBucket": inputs["targetBucket"], "TargetPrefix": inputs["targetPrefix"]}
        self.client.put_bucket_logging(**target, BucketLoggingStatus={"LoggingEnabled": enabled})

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        found = self.client.get_bucket_logging(**target).get("LoggingEnabled")
        if not found:
            raise GoneError
        return {"targetBucket": found["TargetBucket"], "targetPrefix": found["TargetPrefix"]}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        self.client.put_bucket_logging(**target, BucketLoggingStatus={})


class PublicAccessBlock(BucketConfiguration):
    """`aws.s3.BucketPublicAccessBlock`."""

    pulumi_type = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    title = "S3 Bucket Public Access Block"
    gone_codes = ("NoSuchPublicAccessBlockConfiguration",)
    defaults: ClassVar = dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), False
    )
    local = frozenset({"skipDestroy"})

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        blocks = {name: inputs[name] for name in self.defaults}
        configuration = to_aws(blocks, self.shape("PublicAccessBlockConfiguration"))
        self.client.put_public_access_block(**target, PublicAccessBlockConfiguration=configuration)

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        answer = self.client.get_public_access_block(**target)["PublicAccessBlockConfiguration"]
        members = {name.lower(): value for name, value in answer.items()}
        return {name: members.get(name.lower(), False) for name in self.defaults}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        if not state.get("skipDestroy"):
            self.client.delete_public_access_block(**target)


class OwnershipControls(BucketConfiguration):
    """`aws.s3.BucketOwnershipControls`."""

    pulumi_type = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    title = "S3 Bucket Ownership Controls"
    gone_codes = ("OwnershipControlsNotFoundError",)
    choices: ClassVar = {"rule.objectOwnership": ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")}

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        rule = to_aws(inputs["rule"], self.shape("OwnershipControlsRule"))
        self.client.put_bucket_ownership_controls(**target, OwnershipControls={"Rules": [rule]})

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        answer = self.client.get_bucket_ownership_controls(**target)["OwnershipControls"]
        rule = from_aws(answer["Rules"][0], self.shape("OwnershipControlsRule"), self.schema().inputs["rule"])
        return {"rule": rule}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        self.client.delete_bucket_ownership_controls(**target)


class Versioning(BucketConfiguration):
    """`aws.s3.BucketVersioning`. `Disabled` stands for a bucket whose versioning was never switched on."""

    pulumi_type = "aws:s3/bucketVersioning:BucketVersioning"
    title = "S3 Bucket Versioning"
    local = frozenset({"mfa"})
    choices: ClassVar = {
        "versioningConfiguration.status": ("Enabled", "Suspended", "Disabled"),
        "versioningConfiguration.mfaDelete": ("Enabled", "Disabled"),
    }

    @override
    def create(self, inputs: Properties) -> str:
        if inputs["versioningConfiguration"]["status"] == "Disabled":  # the real one takes over what it finds
            return _resource_id(inputs)
        return super().create(inputs)

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        configuration = inputs["versioningConfiguration"]
        if configuration["status"] == "Disabled":
            if "Status" in self.client.get_bucket_versioning(**target):
                raise PluginError(
                    f"{self.title} ({target['Bucket']}): versioningConfiguration.status can't become 'Disabled' once "
                    "versioning was on, by a rule of S3; set it to 'Suspended'"
                )
            return
        request = {"MFA": inputs["mfa"]} if inputs.get("mfa") else {}
        versioning = to_aws(configuration, self.shape("VersioningConfiguration"))
        self.client.put_bucket_versioning(**target, **request, VersioningConfiguration=versioning)

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        answer = self.client.get_bucket_versioning(**target)
        found = {"status": answer.get("Status", "Disabled"), "mfaDelete": answer.get("MFADelete")}
        return {"versioningConfiguration": {name: value for name, value in found.items() if value is not None}}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        if state.get("versioningConfiguration", {}).get("status") != "Disabled":
            self.client.put_bucket_versioning(**target, VersioningConfiguration={"Status": "Suspended"})

    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        """As any, but `mfaDelete` is AWS's to choose: compared only where the program gives it or it is on."""
        value = super().normal(name, value, properties)
        if name == "versioningConfiguration" and value and value.get("mfaDelete") == "Disabled":
            return {key: item for key, item in value.items() if key != "mfaDelete"}
        return value


class Lifecycle(BucketConfiguration):
    """`aws.s3.BucketLifecycleConfiguration`."""

    pulumi_type = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    title = "S3 Bucket Lifecycle Configuration"
    gone_codes = ("NoSuchLifecycleConfiguration",)
    computed = frozenset({"transitionDefaultMinimumObjectSize"})
    local = frozenset({"timeouts"})
    choices: ClassVar = {
        "rules.status": ("Enabled", "Disabled"),
        "transitionDefaultMinimumObjectSize": ("all_storage_classes_128K", "varies_by_storage_class"),
    }

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        rules = to_aws(inputs.get("rules") or [], self.shape("LifecycleRules"))
        for rule in rules:
            if not prune(rule.get("Filter")) and "Prefix" not in rule:
                rule["Filter"] = {"Prefix": ""}  # AWS wants one of the two; this one means every object
        smallest = inputs.get("transitionDefaultMinimumObjectSize")
        request = {"TransitionDefaultMinimumObjectSize": smallest} if smallest else {}
        self.client.put_bucket_lifecycle_configuration(**target, **request, LifecycleConfiguration={"Rules": rules})

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        answer = self.client.get_bucket_lifecycle_configuration(**target)
        rules = from_aws(answer["Rules"], self.shape("LifecycleRules"), self.schema().inputs["rules"])
        return {
            "rules": rules,
            "transitionDefaultMinimumObjectSize": answer.get("TransitionDefaultMinimumObjectSize"),
        }

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        self.client.delete_bucket_lifecycle(**target)


class BucketPolicy(BucketConfiguration):
    """`aws.s3.BucketPolicy`."""

    pulumi_type = "aws:s3/bucketPolicy:BucketPolicy"
    title = "S3 Bucket Policy"
    gone_codes = ("NoSuchBucketPolicy",)

    @override
    def put(self, target: Properties, inputs: Properties) -> None:
        self.client.put_bucket_policy(**target, Policy=inputs["policy"])

    @override
    def get(self, target: Properties, state: Properties) -> Properties:
        found = self.client.get_bucket_policy(**target)["Policy"]
        if not found:
            raise GoneError
        return {"policy": policies.keep_if_equivalent(state.get("policy"), found)}

    @override
    def remove(self, target: Properties, state: Properties) -> None:
        self.client.delete_bucket_policy(**target)

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        return policies.problems(inputs, "policy")


def _resource_id(inputs: Properties) -> str:
    """The id of a configuration: `bucket` or `bucket,owner`."""
    owner = inputs.get("expectedBucketOwner")
    return f"{inputs['bucket']},{owner}" if owner else inputs["bucket"]


def _target(resource_id: str) -> Properties:
    """The keyword arguments that name the bucket of a configuration with this id (`bucket` or `bucket,owner`)."""
    bucket, _, owner = resource_id.partition(",")
    return {"Bucket": bucket, **({"ExpectedBucketOwner": owner} if owner else {})}
