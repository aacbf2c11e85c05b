"""The types of settings that are more than text: each is judged once, where it is declared. It imports no Pulumi.

A value that breaks its rule gets an error that names the rule and the remedy; errors.py adds setting and value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MIB = 1024 * 1024


def refused(rule: str, remedy: str, *, is_secret: bool = False) -> PydanticCustomError:
    """An error that names the `rule` a value breaks and the `remedy`; pydantic adds the setting and the value.

    The rule completes the sentence "<setting> is <value>, but must ...". A value that may be secret is not told.
    """
    return PydanticCustomError("setting", "{rule}", {"rule": rule, "remedy": remedy, "is_secret": is_secret})


@dataclass(frozen=True)
class Judged:
    """Marks a type of text: `judge` returns the text or raises what `refused` makes.

    `rule` completes "must ..."; the type's JSON schema has it as `rule`, for who documents the settings.
    """

    judge: Callable[[str], str]
    rule: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.judge, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "rule": self.rule}


def matching(pattern: str, rule: str, remedy: str) -> Judged:
    """Judge a text by a regular expression that all of it has to match."""

    def judge(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise refused(rule, remedy)
        return text

    return Judged(judge, rule)


_DNS_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_FQDN_RULE = "be a fully qualified domain name: lower-case labels of letters, digits and hyphens, with dots between"


def _fqdn(name: str) -> str:
    """A lower-case fully qualified domain name without a trailing dot (RFC 1123)."""
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(_DNS_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        raise refused(
            _FQDN_RULE,
            "give the bare name as in an image's tag, without scheme, port, path or trailing dot: registry.example.com",
        )
    if labels[-1].isdigit():
        raise refused("be a name, not an IP address", "choose a name in a Route53 hosted zone: registry.example.com")
    return name


_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_IMAGE_RULE = "be an image reference NAME[:TAG][@sha256:DIGEST], the digest of 64 hexadecimal digits"
_ONE_RELEASE_RULE = "name one release, so that every pod runs the same"


def _image(reference: str) -> str:
    """An image reference that always means the same release: with a digest, or a tag other than `latest`."""
    match = _IMAGE.fullmatch(reference)
    if not match:
        raise refused(_IMAGE_RULE, "give an image of the distribution registry, 2.x or 3.x: registry:3.1.2")
    if not match["digest"] and match["tag"] in (None, "latest"):
        raise refused(_ONE_RELEASE_RULE, "add a tag or a digest to the image: registry:3.1.2")
    return reference


_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_BUCKET_RESERVED = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|--x-s3|--table-s3|-an)")
_BUCKET_RULE = "be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
_BUCKET_RESERVED_RULE = "not use a prefix or suffix that S3 reserves"


def _bucket_name(name: str) -> str:
    """A name of an S3 bucket: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, but without dots.

    The certificate of virtual-hosted requests (BUCKET.s3.REGION.amazonaws.com) covers no name with dots.
    """
    if not _BUCKET_NAME.fullmatch(name):
        raise refused(_BUCKET_RULE, "choose such a name, or leave it out: Pulumi then makes a unique one")
    if _BUCKET_RESERVED.fullmatch(name):
        raise refused(_BUCKET_RESERVED_RULE, "choose another name, or leave it out")
    return name


_CIDR_RULE = "be a range of IPv4 addresses ADDRESS/BITS, with no bit set behind the first BITS"


def _cidr(network: str) -> str:
    try:
        if not network.partition("/")[2].isdecimal():  # Python takes netmasks as well, Kubernetes does not
            raise ValueError
        IPv4Network(network)
    except ValueError:
        raise refused(
            _CIDR_RULE,
            "give the network's own address and its length: 203.0.113.0/24, or 203.0.113.7/32 for one address",
        ) from None
    return network


Fqdn = Annotated[str, Judged(_fqdn, _FQDN_RULE)]
ImageReference = Annotated[str, Judged(_image, f"{_IMAGE_RULE}, and {_ONE_RELEASE_RULE}")]
HostedZoneId = Annotated[
    str,
    matching(
        r"Z[A-Z0-9]{1,31}",
        "be the id of a Route53 hosted zone: Z and up to 31 capital letters and digits",
        "give the id alone, without /hostedzone/: aws route53 list-hosted-zones-by-name tells it",
    ),
]
BucketName = Annotated[str, Judged(_bucket_name, f"{_BUCKET_RULE}, and {_BUCKET_RESERVED_RULE}")]
Cidr = Annotated[str, Judged(_cidr, _CIDR_RULE)]
KubernetesName = Annotated[
    str,
    matching(
        _DNS_LABEL.pattern,
        "be a Kubernetes namespace: at most 63 lower-case letters, digits and hyphens",
        "give the name of a namespace that exists: kube-system",
    ),
]
EndpointUrl = Annotated[
    str,
    matching(
        r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?",
        "be the URL of an S3 API: http or https, a host, and a port where it needs one",
        "leave it out for AWS's own; else give only scheme and host: https://s3.mx-central-1.amazonaws.com",
    ),
]
Tls = Annotated[
    str,
    matching(
        r"acm|none|arn:aws[a-z-]*:"
        r"(acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+|iam::[0-9]{12}:server-certificate/[\w+=,.@/-]+)",
        "be acm, none, or the ARN of a certificate in ACM or IAM",
        "take acm for a certificate that AWS issues and renews, or give all of an existing one's ARN: "
        "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012",
    ),
]
KmsKeyArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+",
        # An alias could lead to another key tomorrow, and no condition of a policy can compare it.
        "be the ARN of a KMS key, not of an alias",
        "give the key's own: arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012",
    ),
]
UserName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}",
        # It stands in front of the colon in an htpasswd file, and in the name of a Pulumi resource.
        "be at most 63 letters, digits, dots, hyphens and underscores, with a letter or digit first",
        "choose such a name: ci-builder",
    ),
]
ServiceClass = Literal["service.k8s.aws/nlb", "eks.amazonaws.com/nlb"]
RoleArn = Annotated[
    str,
    matching(
        r"|arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}",
        "be the ARN of an IAM role",
        "give all of it: arn:aws:iam::111122223333:role/registry-zone",
    ),
]
Subnet = Annotated[
    str,
    matching(
        r"[^,=\s]([^,=]{0,254}[^,=\s])?",
        "be a subnet's id, or the value of its tag Name, without commas",
        "take it from aws ec2 describe-subnets: subnet-0123456789abcdef0",
    ),
]

# IAM takes these of all letters, and the annotation by which the load balancer gets them divides by `,` and `=`.
_TAG = r"[A-Za-z0-9 _.:/+@-]"
_TAG_KEY = re.compile(rf"(?!(?i:aws:)|kubernetes\.io/){_TAG}{{1,128}}")
_TAG_RULE = "be at most 256 letters, digits, spaces and _.:/+@-"
TAGS_RULE = (
    "have at most 40 entries, with keys of 1 to 128 letters, digits, spaces and _.:/+@- that don't begin with aws: or "
    "kubernetes.io/, and differ in more than case"
)
TAGS = 40
"""How many there may be: AWS takes 50, the stack has three, the cloud controller some."""


def judged_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags, if all their keys are right; values are judged by themselves."""
    wrong = [key for key in tags if not _TAG_KEY.fullmatch(key)]
    keys = [key.lower() for key in tags]
    wrong += [key for key in tags if keys.count(key.lower()) > 1]
    if wrong or len(tags) > TAGS:
        reason = f": not {wrong[0]}" if wrong else f": not {len(tags)}"
        raise refused(f"{TAGS_RULE}{reason}", "take it out, or choose another key: cost-center")
    return tags


def _tag_value(value: object) -> object:
    """Numbers are tags as well: the CLI makes one of 1234."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


TagValue = Annotated[
    str, BeforeValidator(_tag_value), matching(rf"{_TAG}{{0,256}}", _TAG_RULE, "choose another value: platform")
]


_UNITS = {"": 1, "Ki": 1024, "Mi": MIB, "Gi": 1024 * MIB}
_PART_RULE = "be a size from 5Mi to 64Mi, as Kubernetes writes it, or as a whole number of bytes"


def _part_size(value: object) -> int:
    """Bytes. S3 takes 5 MiB to 5 GiB; a pod keeps several parts in memory for each upload (environment.py)."""
    found = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi)?", str(value))
    size = int(found[1]) * _UNITS[found[2] or ""] if found else 0
    if not 5 * MIB <= size <= 64 * MIB:
        raise refused(_PART_RULE, "leave it out for 16Mi, or run pulumi config set chunkSize 32Mi")
    return size


PartSize = Annotated[int, BeforeValidator(_part_size), WithJsonSchema({"type": "string", "rule": _PART_RULE})]


_ROTATION_RULE = "be a text or a number, and another than before to rotate"


def _rotation(value: object) -> int | str:
    """A number stays a number, however it was written: of another type it would count as another value."""
    if not isinstance(value, (str, int, float)) or value == "":
        raise refused(_ROTATION_RULE, "give the date, for one: 2026-11-25")
    text = str(value).removesuffix(" 00:00:00 +0000 UTC")  # what Pulumi makes of a date in YAML without quotes
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else text


RotationValue = Annotated[
    int | str, BeforeValidator(_rotation), WithJsonSchema({"type": "string", "rule": _ROTATION_RULE})
]
