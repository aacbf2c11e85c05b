"""Drives the stand-in for pulumi-aws as the engine does, one resource at a time, in the tests' own process."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue

from sandbox.aws_plugin.provider import AwsProvider
from sandbox.aws_plugin.values import plain_map, wrap, wrap_map

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

T = TypeVar("T")
Values = Mapping[str, PropertyValue]

ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
BUCKET = "aws:s3/bucket:Bucket"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
USER = "aws:iam/user:User"
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
ACCESS_KEY = "aws:iam/accessKey:AccessKey"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
RECORD = "aws:route53/record:Record"
CERTIFICATE = "aws:acm/certificate:Certificate"
VALIDATION = "aws:acm/certificateValidation:CertificateValidation"
KEY = "aws:kms/key:Key"


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


def canonical_policy(resource: str) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def unique(prefix: str = "x") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:stack::project::{token}::{name}"


def run(question: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(question)


@dataclass
class Made:
    """A resource in the engine's state."""

    token: str
    name: str
    id: str
    inputs: Values
    outputs: Values

    @property
    def state(self) -> dict[str, Any]:
        return plain_map(self.outputs)


class Engine:
    """Asks the provider what the engine asks for one resource at a time."""

    def __init__(self, **configuration: Any) -> None:
        self.provider = AwsProvider()
        args = wrap_map({"region": "us-east-1", **configuration})
        run(self.provider.configure(protocol.ConfigureRequest({}, args, True, True)))

    def check(self, token: str, name: str, inputs: Mapping[str, Any], olds: Values | None = None) -> Values:
        """The checked inputs; fails the test if the plugin refuses them."""
        response = self.checked(token, name, inputs, olds)
        assert not response.failures, [failure.reason for failure in response.failures]
        assert response.inputs is not None
        return response.inputs

    def checked(
        self, token: str, name: str, inputs: Mapping[str, Any], olds: Values | None = None
    ) -> protocol.CheckResponse:
        values = {key: item if isinstance(item, PropertyValue) else wrap(item) for key, item in inputs.items()}
        seed = uuid.uuid4().bytes
        return run(self.provider.check(protocol.CheckRequest(urn(token, name), dict(olds or {}), values, seed)))

    def refusal(self, token: str, **inputs: Any) -> str:
        """What the plugin says of inputs that it refuses."""
        failures = self.checked(token, "res", inputs).failures
        assert failures, "the plugin takes these inputs"
        return "\n".join(failure.reason for failure in failures)

    def create(self, token: str, *, timeout: float = 0, **inputs: Any) -> Made:
        checked = dict(self.check(token, "res", inputs))
        request = protocol.CreateRequest(urn(token, "res"), checked, timeout, preview=False)
        response = run(self.provider.create(request))
        assert response.resource_id
        return Made(token, "res", response.resource_id, checked, response.properties)

    def planned(self, token: str, **inputs: Any) -> dict[str, Any]:
        """The outputs at a preview of the creation."""
        checked = dict(self.check(token, "res", inputs))
        request = protocol.CreateRequest(urn(token, "res"), checked, 0, preview=True)
        return plain_map(run(self.provider.create(request)).properties)

    def diff(self, made: Made, **inputs: Any) -> protocol.DiffResponse:
        checked = dict(self.check(made.token, made.name, inputs, made.inputs))
        request = protocol.DiffRequest(urn(made.token, made.name), made.id, dict(made.outputs), checked, [])
        return run(self.provider.diff(request))

    def update(self, made: Made, *, preview: bool = False, **inputs: Any) -> Made:
        """The resource after an update, which must not be a replacement."""
        assert self.diff(made, **inputs).replaces == []
        checked = dict(self.check(made.token, made.name, inputs, made.inputs))
        request = protocol.UpdateRequest(
            urn(made.token, made.name), made.id, dict(made.outputs), checked, 0, [], preview=preview
        )
        return Made(made.token, made.name, made.id, checked, run(self.provider.update(request)).properties)

    def read(self, made: Made) -> Made | None:
        """The resource after a refresh; None if it is gone."""
        request = protocol.ReadRequest(urn(made.token, made.name), made.id, dict(made.outputs), {**made.inputs})
        response = run(self.provider.read(request))
        if not response.resource_id:
            return None
        return Made(made.token, made.name, response.resource_id, response.inputs, response.properties)

    def imported(self, token: str, resource_id: str) -> Made | None:
        return self.read(Made(token, "imported", resource_id, {}, {}))

    def delete(self, made: Made, **state: Any) -> None:
        outputs = {**made.outputs, **wrap_map(state)}
        run(self.provider.delete(protocol.DeleteRequest(urn(made.token, made.name), made.id, outputs, 0)))

    def invoke(self, token: str, **args: Any) -> dict[str, Any]:
        response = run(self.provider.invoke(protocol.InvokeRequest(token, wrap_map(args))))
        return plain_map(response.return_value or {})


class PluginTest:
    """A test class with an engine on the emulated AWS, and with what resources hang on there."""

    # The SDK's modules warn of their own deprecated classes when they load.
    pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def credentials(cls, aws: EmulatedAws) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", aws.url)
            patch.setenv("AWS_ACCESS_KEY_ID", aws.administrator.id)
            patch.setenv("AWS_SECRET_ACCESS_KEY", aws.administrator.secret)
            for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "HTTP_PROXY", "http_proxy"):
                patch.delenv(name, raising=False)
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, credentials: None) -> Engine:
        return Engine()

    @pytest.fixture
    def bucket(self, aws: EmulatedAws) -> str:
        return aws.new_bucket()

    @pytest.fixture
    def user(self, aws: EmulatedAws) -> str:
        return new_user(aws)

    @pytest.fixture(scope="class")
    @classmethod
    def domain(cls) -> str:
        return f"{unique('zone')}.test"

    @pytest.fixture(scope="class")
    @classmethod
    def zone(cls, aws: EmulatedAws, domain: str) -> str:
        made = aws.client("route53").create_hosted_zone(Name=domain, CallerReference=unique())
        return made["HostedZone"]["Id"].removeprefix("/hostedzone/")


def new_user(aws: EmulatedAws) -> str:
    """Make an IAM user without a key."""
    name = unique("user")
    aws.client("iam").create_user(UserName=name)
    return name
