"""The AWS account and region that the plugin talks to, and its clients."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from sandbox.assumed_role import assumed_role
from sandbox.aws_plugin.assume_roles import RoleToAssume
from sandbox.aws_plugin.errors import PluginError, doing


@dataclass
class Aws:
    """Access to one AWS account.

    `region`: the provider's region, or "" if none is set. `default_tags`: put on every resource that takes tags.
    `credentials`: keyword arguments of `boto3.Session` that override the environment's credentials.
    The endpoint comes from AWS_ENDPOINT_URL, which botocore reads.
    """

    region: str = ""
    default_tags: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the user asked the engine to stop: what waits, gives up."""

    def __post_init__(self) -> None:
        """Make the session; reads the environment's credentials at the first call."""
        self._session = boto3.Session(**self.credentials)
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "") -> Any:
        """The boto3 client of `service` (boto3's name, "s3") in `region`, else the provider's.

        Raises PluginError if neither region nor endpoint is known.
        """
        region = self.known_region(region)
        with self._lock:  # making a client is not thread-safe, using one is
            if (service, region) not in self._clients:
                self._clients[service, region] = self._session.client(service, region_name=region)
            return self._clients[service, region]

    def assume(self, role: RoleToAssume) -> None:
        """From now on act as `role`, which the present credentials assume now, and again before the session ends.

        Raises PluginError in the real provider's words.
        """
        region = self.known_region()
        try:
            with doing("Error", "STS"):
                self._session = assumed_role(self._session, role.arn, role.arguments, region_name=region)
        except PluginError as error:
            raise PluginError(
                f"IAM Role ({role.arn}) cannot be assumed.\n\n"
                "There are a number of possible causes of this - the most common are:\n"
                "  * The credentials used in order to assume the role are invalid\n"
                "  * The credentials do not have appropriate permission to assume the role\n"
                f"  * The role ARN is not valid\n\n{error}"
            ) from error
        self._clients.clear()

    def known_region(self, region: str = "") -> str:
        """`region`, else the provider's. Raises PluginError if neither it nor the endpoint is known."""
        region = region or self.region
        if not region:
            raise PluginError("no AWS region is set; run `pulumi config set aws:region us-east-1` or set AWS_REGION")
        if not os.environ.get("AWS_ENDPOINT_URL"):
            raise PluginError(
                "AWS_ENDPOINT_URL is not set: the sandbox's stand-in for pulumi-aws never calls AWS itself; "
                "set it to the sandbox's emulated AWS, or install the real plugin"
            )
        return region

    def account(self) -> str:
        """The id of the account that the credentials are of. Raises PluginError."""
        with doing("retrieving AWS account details", "STS"):
            return self.client("sts").get_caller_identity()["Account"]

    def partition(self, region: str = "") -> str:
        """The partition (`aws`, `aws-cn`, `aws-us-gov`) of `region`, else of the provider's."""
        return self._session.get_partition_for_region(region or self.region or "us-east-1")
