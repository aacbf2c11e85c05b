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
NETWORK_TLS_POLICY = re.compile(
    r"ELBSecurityPolicy-(TLS13-1-[0-3](-Res|-Ext[12])?(-FIPS)?(-PQ)?-20[0-9]{2}-[0-9]{2}"
    r"|TLS-1-2-Ext-2018-06|TLS-1-[012](-Ext)?-2017-01|FS(-1-[12])?(-Res)?-20(18-06|19-08|20-10)|2016-08|2015-05)"
)
"""The forms of those of network load balancers, of which AWS adds some each year:
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
