"""The predefined security policies of load balancers: which protocols and ciphers clients may use."""

from __future__ import annotations

import re
from typing import Annotated

from registry.settings.value_types import Judged, refused

CLASSIC_TLS_POLICIES = (
    "ELBSecurityPolicy-TLS-1-2-2017-01",
    "ELBSecurityPolicy-TLS-1-1-2017-01",
    "ELBSecurityPolicy-2016-08",
    "ELBSecurityPolicy-2015-05",
    "ELBSecurityPolicy-2015-03",
    "ELBSecurityPolicy-2015-02",
)
"""The predefined policies of classic load balancers:
docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-policy-table.html"""
NETWORK_TLS_POLICY = re.compile(r"ELBSecurityPolicy-(?!2015-0[23]$)([A-Za-z0-9]+-)*20[0-9]{2}-[0-9]{2}")
"""The form of those of network load balancers, of which AWS adds some each year:
docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html"""
_TLS_POLICY_RULE = "be a predefined security policy of classic or network load balancers"


def _tls_policy(name: str) -> str:
    if name not in CLASSIC_TLS_POLICIES and not NETWORK_TLS_POLICY.fullmatch(name):
        raise refused(
            _TLS_POLICY_RULE,
            "leave it out for TLS 1.2 and newer; classic ones have "
            f"{', '.join(CLASSIC_TLS_POLICIES)}; aws elbv2 describe-ssl-policies lists those of network ones",
        )
    return name


TlsPolicy = Annotated[str, Judged(_tls_policy, _TLS_POLICY_RULE)]
