"""Where moto 5.2 differs from AWS in what the registry's stack relies on: each difference, corrected in this process.

Who may do what is in `access_control`, signatures are in `signatures`; the rest is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn
from xml.sax.saxutils import escape

from moto.acm import models as acm
from moto.acm.exceptions import CertificateNotFound
from moto.core.exceptions import JsonRESTError
from moto.elb import models as elb
from moto.elb.exceptions import CertificateNotFoundException
from moto.elbv2 import models as elbv2
from moto.iam.access_control import IAMRequest, IAMRequestBase
from moto.iam.exceptions import DeleteConflictException, MalformedPolicyDocument
from moto.iam.models import IAMBackend
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from moto.route53.models import route53_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, FakeMultipart, S3Backend
from werkzeug.exceptions import Forbidden

from sandbox.aws import access_control, iam_policy
from sandbox.aws.access_control import SSE, SSE_KEY, effective_encryption

CLASSIC_HOSTED_ZONE_ID = "Z35SXDOTRQ7X7K"
"""The hosted zone of classic and application load balancers in us-east-1."""
NETWORK_HOSTED_ZONE_ID = "Z26RNL4JYFTOTI"
"""The hosted zone of network load balancers in us-east-1."""

_S3_MANAGED = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}}

_applied: set[str] = set()


def correct() -> None:
    """Apply every correction to the moto of this process; those applied before are left as they are."""
    for correction in CORRECTIONS:
        if correction.__name__ not in _applied:
            correction()
            _applied.add(correction.__name__)


def _instead_of(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put the decorated function in the place of `owner.name`, with what was there as its first argument."""
    original = getattr(owner, name)

    def replace(function: Callable[..., Any]) -> None:
        def replacement(*arguments: Any, **named: Any) -> Any:
            return function(original, *arguments, **named)

        setattr(owner, name, replacement)

    return replace


def sign_empty_bodies_as_empty() -> None:
    """moto takes a request's headers for its body, when that is empty and there is no query, and so finds the
    signature of Route53's GET requests wrong. AWS signs an empty body as empty.
    """

    @_instead_of(IAMRequestBase, "_create_aws_request")
    def _(original: Any, self: IAMRequestBase) -> Any:
        request = original(self)
        if int(self._headers.get("Content-Length") or 0) == 0:
            request.data = b""
        return request


def answer_refusals_in_the_services_protocol() -> None:
    """moto refuses, whatever the service, in an XML of its own, of which SDKs do not read the error code.

    AWS answers JSON to services called by `X-Amz-Target` (ACM, KMS), and `<ErrorResponse><Error>` in XML to the
    others (but EC2 and S3, which moto answers right).
    """

    def refuse(request: IAMRequest, json_code: str, code: str, message: str) -> NoReturn:
        if "X-Amz-Target" in request._headers:
            error = JsonRESTError(json_code, message)
        else:
            error = Forbidden()
            error.description = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            error.description += f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
        error.code = 403
        raise error

    @_instead_of(IAMRequest, "_raise_access_denied")
    def _(original: Any, self: IAMRequest) -> None:
        if self._service == "ec2":
            original(self)
        message = f"User: {self._access_key.arn} is not authorized to perform: {self._action}"
        refuse(self, "AccessDeniedException", "AccessDenied", message)

    @_instead_of(IAMRequest, "_raise_signature_does_not_match")
    def _(original: Any, self: IAMRequest) -> None:
        if self._service == "ec2":
            original(self)
        message = "The request signature we calculated does not match the signature you provided."
        refuse(self, "InvalidSignatureException", "SignatureDoesNotMatch", message)

    @_instead_of(IAMRequest, "_raise_invalid_access_key")
    def _(original: Any, self: IAMRequest, reason: str) -> None:
        if self._service == "ec2":
            original(self, reason)
        message = "The security token included in the request is invalid."
        refuse(self, "UnrecognizedClientException", "InvalidClientTokenId", message)


def encrypt_buckets_by_default() -> None:
    """moto encrypts an object only if its request or a configuration of the bucket says so.

    AWS has given every bucket SSE-S3 since 2023-01, reports it as the bucket's configuration, and goes back to it
    when the configuration is deleted. https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """

    @_instead_of(FakeBucket, "__init__")
    def _(original: Any, self: FakeBucket, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.encryption = _S3_MANAGED

    @_instead_of(S3Backend, "delete_bucket_encryption")
    def _(_original: Any, self: S3Backend, bucket_name: str) -> None:
        self.get_bucket(bucket_name).encryption = _S3_MANAGED


def keep_the_encryption_that_was_asked_for() -> None:
    """moto keeps the key's id as it was written, mixes a request's algorithm with the bucket's key, and leaves
    multipart uploads without the bucket's default until they are completed.

    AWS resolves the key's id to its ARN, and decides a multipart upload's encryption when it begins.
    """

    @_instead_of(S3Backend, "put_object")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> FakeKey:
        bucket = self.get_bucket(bucket_name)
        asked = {SSE: named.get("encryption"), SSE_KEY: named.get("kms_key_id")}
        key = original(self, bucket_name, *arguments, **named)
        key.encryption, key.kms_key_id = effective_encryption(bucket, asked, bucket.region_name)
        return key

    @_instead_of(S3Backend, "create_multipart_upload")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> FakeMultipart:
        bucket = self.get_bucket(bucket_name)
        upload = original(self, bucket_name, *arguments, **named)
        asked = {SSE: upload.sse_encryption, SSE_KEY: upload.kms_key_id}
        upload.sse_encryption, upload.kms_key_id = effective_encryption(bucket, asked, bucket.region_name)
        return upload


def refuse_policies_that_cannot_be_evaluated() -> None:
    """moto takes any policy and ignores what it does not know of it.

    Here a policy with an element, condition or variable that `iam_policy` does not know is refused when it is
    written (MalformedPolicy, MalformedPolicyDocument), so that no test passes by a policy that did nothing.
    """

    @_instead_of(S3Backend, "put_bucket_policy")
    def _(original: Any, self: S3Backend, bucket_name: str, policy: bytes) -> None:
        try:
            iam_policy.check(policy)
        except (iam_policy.UnsupportedPolicyError, json.JSONDecodeError) as error:
            raise S3ClientError("MalformedPolicy", str(error)) from error
        original(self, bucket_name, policy)

    @_instead_of(IAMPolicyDocumentValidator, "validate")
    def _(original: Any, self: IAMPolicyDocumentValidator) -> None:
        original(self)
        try:
            iam_policy.check(self._policy_document)
        except iam_policy.UnsupportedPolicyError as error:
            raise MalformedPolicyDocument(str(error)) from error


def issue_certificates_once_their_domain_is_proven() -> None:
    """moto calls every requested certificate ISSUED after a while.

    ACM issues one that is validated by DNS when the CNAME record of each of its names is found; here, in a public
    hosted zone of the account. https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """

    @_instead_of(acm.CertBundle, "check")
    def _(original: Any, self: acm.CertBundle) -> None:
        if self.type == "AMAZON_ISSUED" and self.status == "PENDING_VALIDATION" and not _is_proven(self):
            return
        original(self)


def _is_proven(certificate: acm.CertBundle) -> bool:
    account = certificate.arn.split(":")[4]
    found = {
        (record.name.rstrip(".").lower(), value.rstrip(".").lower())
        for zone in route53_backends[account]["aws"].zones.values()
        if not zone.private_zone
        for record in zone.rrsets
        if record.type == "CNAME"
        for value in record.records
    }
    wanted = [option["ResourceRecord"] for option in certificate.describe()["Certificate"]["DomainValidationOptions"]]
    return all((record["Name"].rstrip(".").lower(), record["Value"].rstrip(".").lower()) in found for record in wanted)


def keep_certificates_that_are_in_use() -> None:
    """moto deletes a certificate that a load balancer's listener still names; ACM answers ResourceInUseException."""

    @_instead_of(acm.AWSCertificateManagerBackend, "delete_certificate")
    def _(original: Any, self: acm.AWSCertificateManagerBackend, arn: str) -> None:
        balancers = elb.elb_backends[self.account_id][self.region_name].load_balancers.values()
        users = [each.name for each in balancers if any(arn == one.ssl_certificate_id for one in each.listeners)]
        if users:
            message = f"Certificate {arn} in account {self.account_id} is in use by {', '.join(users)}."
            raise JsonRESTError("ResourceInUseException", message)
        original(self, arn)


def refuse_listeners_with_certificates_not_issued() -> None:
    """moto lets a classic load balancer use a certificate that is still to be validated; AWS does not find it."""

    @_instead_of(elb, "register_certificate")
    def _(original: Any, account_id: str, region: str, arn_certificate: str, arn_user: str) -> None:
        try:
            status = acm.acm_backends[account_id][region].get_certificate(arn_certificate).status
        except CertificateNotFound:
            status = "missing"
        if status != "ISSUED":
            raise CertificateNotFoundException
        original(account_id, region, arn_certificate, arn_user)


def complete_load_balancers() -> None:
    """moto makes a classic load balancer without a health check and a hosted zone id, and NLBs with a made-up one.

    AWS gives a classic one a health check of its first listener's instance port, which the AWS cloud controller reads,
    and each its region's hosted zone, which alias records must name.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html
    https://docs.aws.amazon.com/general/latest/gr/elb.html
    """

    @_instead_of(elb.LoadBalancer, "__init__")
    def _(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.canonical_hosted_zone_name_id = CLASSIC_HOSTED_ZONE_ID
        port = self.listeners[0].instance_port
        self.health_check = elb.FakeHealthCheck("5", "10", "2", "30", f"TCP:{port}")

    @_instead_of(elbv2.FakeLoadBalancer, "__init__")
    def _(original: Any, self: elbv2.FakeLoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        network = self.type == "network"
        self.canonical_hosted_zone_id = NETWORK_HOSTED_ZONE_ID if network else CLASSIC_HOSTED_ZONE_ID


def keep_the_instance_protocol_of_listeners() -> None:
    """moto reports the front protocol of a classic listener as the instances' one too.

    AWS keeps `InstanceProtocol`: HTTPS in front of HTTP is what `backend-protocol: http` asks for.
    """

    def remember(listeners: list[Any], ports: list[dict[str, Any]]) -> None:
        for listener in listeners:
            for port in ports:
                if port["LoadBalancerPort"] == listener.load_balancer_port and "InstanceProtocol" in port:
                    listener.backend_protocol = port["InstanceProtocol"].upper()

    def instance_protocol(self: Any) -> str:
        return getattr(self, "backend_protocol", self.protocol)

    setattr(elb.FakeListener, "instance_protocol", property(instance_protocol))  # noqa: B010 (it has no setter)

    @_instead_of(elb.LoadBalancer, "__init__")
    def _(original: Any, self: elb.LoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        remember(self.listeners, named["ports"])

    @_instead_of(elb.ELBBackend, "create_load_balancer_listeners")
    def _(original: Any, self: elb.ELBBackend, name: str, ports: list[dict[str, Any]]) -> Any:
        balancer = original(self, name, ports)
        remember(balancer.listeners if balancer else [], ports)
        return balancer


def delete_all_listeners_that_are_named() -> None:
    """moto, asked to delete the listeners of two ports, deletes none and doubles the others."""

    @_instead_of(elb.ELBBackend, "delete_load_balancer_listeners")
    def _(original: Any, self: elb.ELBBackend, name: str, ports: list[int]) -> None:
        for port in ports:
            original(self, name, [port])


def keep_users_that_have_access_keys() -> None:
    """moto deletes a user together with its access keys; IAM answers DeleteConflict until they are deleted."""

    @_instead_of(IAMBackend, "delete_user")
    def _(original: Any, self: IAMBackend, user_name: str) -> None:
        if self.get_user(user_name).access_keys:
            raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
        original(self, user_name)


def keep_the_versions_of_suspended_buckets() -> None:
    """moto forgets every version of an object that is deleted once versioning is suspended, or fails at it.

    S3 goes on keeping the versions that there are, and deletes the one that is named.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectsfromVersioningSuspendedBuckets.html
    """

    @_instead_of(S3Backend, "delete_object")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> Any:
        bucket = self.get_bucket(bucket_name)
        if bucket.versioning_status != "Suspended":
            return original(self, bucket_name, *arguments, **named)
        bucket.versioning_status = "Enabled"
        try:
            return original(self, bucket_name, *arguments, **named)
        finally:
            bucket.versioning_status = "Suspended"


CORRECTIONS = (
    access_control.enforce,
    sign_empty_bodies_as_empty,
    answer_refusals_in_the_services_protocol,
    encrypt_buckets_by_default,
    keep_the_encryption_that_was_asked_for,
    refuse_policies_that_cannot_be_evaluated,
    issue_certificates_once_their_domain_is_proven,
    keep_certificates_that_are_in_use,
    refuse_listeners_with_certificates_not_issued,
    complete_load_balancers,
    keep_the_instance_protocol_of_listeners,
    delete_all_listeners_that_are_named,
    keep_users_that_have_access_keys,
    keep_the_versions_of_suspended_buckets,
)
