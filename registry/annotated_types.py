"""The types of settings that are more than text: each is judged once, where it is declared. Pure.

A value that breaks its rule gets an error that names the rule and the remedy; setting_errors.py adds setting and value.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def refused(rule: str, remedy: str) -> PydanticCustomError:
    """An error that names the `rule` a value breaks and the `remedy`; pydantic adds the setting and the value.

    The rule completes the sentence "registry:<setting> is <value>, but must ...".
    """
    return PydanticCustomError("setting", "{rule}", {"rule": rule, "remedy": remedy})


_DNS_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def _fqdn(name: str) -> str:
    """A lower-case fully qualified domain name without a trailing dot (RFC 1123)."""
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(_DNS_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        raise refused(
            "be a fully qualified domain name: lower-case labels of letters, digits and hyphens, with dots between",
            "give the bare name as in an image's tag, without scheme, port, path or trailing dot: registry.example.com",
        )
    if labels[-1].isdigit():
        raise refused("be a name, not an IP address", "choose a name in a Route53 hosted zone: registry.example.com")
    return name


def _kubernetes_name(name: str) -> str:
    if not _DNS_LABEL.fullmatch(name):
        raise refused(
            "be a Kubernetes namespace: at most 63 lower-case letters, digits and hyphens",
            "give the name of a namespace that exists: kube-system",
        )
    return name


_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def _image(reference: str) -> str:
    """An image reference that always means the same release: with a digest, or a tag other than `latest`."""
    match = _IMAGE.fullmatch(reference)
    if not match:
        raise refused(
            "be an image reference NAME[:TAG][@sha256:DIGEST], the digest of 64 hexadecimal digits",
            "give an image of the distribution registry, 2.x or 3.x: registry:3.1.1",
        )
    if not match["digest"] and match["tag"] in (None, "latest"):
        raise refused(
            "name one release, so that every pod runs the same", "add a tag or a digest to the image: registry:3.1.1"
        )
    return reference


_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_BUCKET_RESERVED = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|--x-s3|--table-s3)")


def _bucket_name(name: str) -> str:
    """A name of an S3 bucket: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, but without dots.

    The certificate of virtual-hosted requests (BUCKET.s3.REGION.amazonaws.com) covers no name with dots.
    """
    if not _BUCKET_NAME.fullmatch(name):
        raise refused(
            "be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
            "choose such a name, or leave it out: Pulumi then makes a unique one",
        )
    if _BUCKET_RESERVED.fullmatch(name):
        raise refused("not use a prefix or suffix that S3 reserves", "choose another name, or leave it out")
    return name


_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")


def _endpoint(url: str) -> str:
    if not _ENDPOINT.fullmatch(url):
        raise refused(
            "be the URL of an S3 API: http or https, a host, and a port where it needs one",
            "leave it out for AWS's own; else give only scheme and host: https://s3.mx-central-1.amazonaws.com",
        )
    return url


Fqdn = Annotated[str, AfterValidator(_fqdn)]
KubernetesName = Annotated[str, AfterValidator(_kubernetes_name)]
ImageReference = Annotated[str, AfterValidator(_image)]
BucketName = Annotated[str, AfterValidator(_bucket_name)]
EndpointUrl = Annotated[str, AfterValidator(_endpoint)]
