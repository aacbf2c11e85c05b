"""What AWS answers when the provider looks something up, as plain data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["missing", "several", "denied", "elsewhere", "failed"]


@dataclass(frozen=True)
class Failure:
    """A question that AWS did not answer.

    `missing`: there is no such thing; `several`: there is more than one; `denied`: one may not ask; `elsewhere`: it is
    in another region; `failed`: anything else. `reason` is what the provider said, on one line.
    """

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Record:
    """A record set: its type, and where it leads, an alias to `alias` or plain `values`."""

    type: str
    alias: str | None
    values: Sequence[str] = ()


@dataclass(frozen=True)
class Key:
    """A KMS key, in KMS's own words: `Enabled`, `SYMMETRIC_DEFAULT`, `ENCRYPT_DECRYPT`."""

    state: str
    spec: str
    usage: str


@dataclass(frozen=True)
class EksCluster:
    """An EKS cluster, the URL by which its tokens say who issued them, and the family of its addresses."""

    arn: str
    issuer: str
    ip_family: Literal["ipv4", "ipv6"] = "ipv4"


@dataclass(frozen=True)
class OidcProvider:
    """An OIDC provider of IAM, and the audiences for which it takes tokens."""

    arn: str
    audiences: Sequence[str]


_KINDS: dict[str, Kind] = {
    r"multiple .* matched": "several",
    r"AccessDenied|UnauthorizedOperation|not authorized to perform|api error Forbidden": "denied",
    r"StatusCode: 301|MovedPermanently|PermanentRedirect|requested bucket from": "elsewhere",
    r"no matching|couldn't find resource|empty result|\): not found|NotFound|NoSuch|StatusCode: 404": "missing",
}
"""What the provider's errors say, in the words of Terraform's (internal/retry, internal/tfresource, and each service's
data source in github.com/hashicorp/terraform-provider-aws) and of the AWS SDK for Go."""
_PREFIXES = re.compile(r"^(invoke of \S+ failed: |invocation of \S+ returned an error: |\d+ errors? occurred: \* )*")


def failure(text: str) -> Failure:
    """What an error of the provider means, which `text` gives as Pulumi passes it on."""
    reason = _PREFIXES.sub("", " ".join(text.split())).rstrip(".")
    for pattern, kind in _KINDS.items():
        if re.search(pattern, reason):
            return Failure(kind, reason)
    return Failure("failed", reason)
