"""The account that the tests have whose processes do not talk to the emulated AWS."""

from __future__ import annotations

from sandbox.layout import Account

ACCOUNT = Account(
    access_key_id="AKIAEXAMPLE",
    secret_access_key="a-secret-of-the-administrator",
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    instance_id="i-0123456789abcdef0",
    private_dns_name="ip-10-0-0-1.ec2.internal",
    private_ip="10.0.0.1",
    zone_id="Z1",
)
