"""AWS's own host names, below `amazonaws.com`: whose they are, and where they lead in a sandbox."""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS, PORT = "198.51.100.1", 443
"""What the names resolve to in pods: an address of the world outside (RFC 5737), in each pod's own network."""

_LOAD_BALANCER = re.compile(r".+\.elb(\.[a-z0-9-]+)?\.amazonaws\.com")
"""Classic: NAME.REGION.elb.amazonaws.com, network: NAME.elb.REGION.amazonaws.com. The edge finds what is behind."""
_REGION = r"[a-z]{2}(?:-[a-z]+)+-\d+"
_S3 = re.compile(rf"(?:(?P<bucket>.+)\.)?(?P<endpoint>s3(?:[.-](?P<region>{_REGION}))?\.amazonaws\.com)")
"""docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html; `s3-REGION` is the form of old regions."""
_OTHER = re.compile(rf"(?P<service>[a-z0-9.-]+?)(?:\.(?P<region>{_REGION}))?\.amazonaws\.com")
GLOBAL_REGION = "us-east-1"
"""The region for which requests to a name without one are signed: of the partition's services, and STS's old name."""


@dataclass(frozen=True)
class ServiceHost:
    """What a host name of AWS says."""

    service: str
    """As in signatures: `s3`, `sts`."""
    region: str
    """Empty for S3's old name, by which the buckets of all regions are found."""
    certificate_names: tuple[str, ...]
    """Of the certificate with which it answers: S3's has a wildcard for buckets, so for names without a dot only."""
    bucket: str = ""
    """The bucket of a virtual host of S3."""


def service_host(name: str) -> ServiceHost | None:
    """Return whose host `name` is, None if it is none of a service of AWS: load balancers' names are none."""
    name = name.lower().rstrip(".")
    if _LOAD_BALANCER.fullmatch(name):
        return None
    if found := _S3.fullmatch(name):
        names = (found["endpoint"], f"*.{found['endpoint']}")
        return ServiceHost("s3", found["region"] or "", names, found["bucket"] or "")
    if found := _OTHER.fullmatch(name):
        return ServiceHost(found["service"], found["region"] or GLOBAL_REGION, (name,))
    return None
