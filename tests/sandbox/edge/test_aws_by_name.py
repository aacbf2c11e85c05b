"""The emulated AWS by AWS's own names, for clients that come by the edge."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import pytest
import pytest_asyncio
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.aws.server import requests_log
from sandbox.edge.proxy import Edge
from sandbox.edge.routes import Route, UnreachableError
from sandbox.edge.target_health import Targets
from sandbox.edge.upstreams import Upstreams
from sandbox.layout import Layout
from tests import networks
from tests.sandbox.aws.emulated_aws import EmulatedAws, Key
from tests.sandbox.edge.world import NODE, World, server_context
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio

CONTENT = b"a blob"
NAME = "docker/registry v2/a+b:ü"


class Clients:
    """Clients of an edge that trust the sandbox's authority and know AWS by its names alone."""

    def __init__(self, aws: EmulatedAws, edge_url: str) -> None:
        self.aws, self.edge_url = aws, edge_url

    def client(
        self,
        service: str,
        key: Key | None = None,
        *,
        region: str = "us-east-1",
        endpoint_url: str | None = None,
        **options: Any,
    ) -> Any:
        """A boto3 client, which finds its endpoint by itself unless one is given."""
        key = key or self.aws.administrator
        session = boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=region)
        config = Config(proxies={"https": self.edge_url}, retries={"total_max_attempts": 1}, **options)
        authority = str(self.aws.authority_certificate)
        return session.client(service, endpoint_url=endpoint_url, verify=authority, config=config)

    def fetch(self, url: str) -> requests.Response:
        """The answer to Python's requests, with nothing but the URL."""
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"https": self.edge_url}
            return session.get(url, timeout=PATIENCE_SECONDS, verify=str(self.aws.authority_certificate))

    def new_bucket(self) -> str:
        name = self.aws.new_bucket()
        self.aws.client("s3").put_object(Bucket=name, Key=NAME, Body=CONTENT)
        return name


@pytest_asyncio.fixture
async def clients(aws: EmulatedAws) -> AsyncIterator[Clients]:
    """By an edge beside the emulated AWS of the tests' own process."""
    layout = Layout(name="in-process", network=networks.CLOUD_IN_PROCESS)

    def nowhere(host: str, port: int) -> Route:
        raise UnreachableError(f"no hosted zone holds {host}")

    edge = Edge(layout, nowhere, Upstreams(layout, World(), Targets(0, 0)), server_context, NODE)
    async with await asyncio.start_server(edge.serve, layout.address, 0) as server:
        address, port = server.sockets[0].getsockname()
        with mock.patch.dict(os.environ):
            os.environ.pop("AWS_ENDPOINT_URL", None)
            yield Clients(aws, f"http://{address}:{port}")


def hosts_of(client: Any) -> list[str]:
    """The hosts of the requests of a boto3 client, from here on."""
    hosts: list[str] = []

    def note(request: Any, **_: Any) -> None:
        hosts.append(urlsplit(request.url).netloc)

    client.meta.events.register("before-send", note)
    return hosts


async def test_a_bucket_is_written_and_read_by_its_own_name(clients: Clients) -> None:
    def use() -> bytes:
        bucket, s3 = clients.new_bucket(), clients.client("s3", region="eu-west-1")
        hosts = hosts_of(s3)
        s3.put_object(Bucket=bucket, Key=NAME, Body=b"written")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="docker/")["Contents"]
        assert [one["Key"] for one in listed] == [NAME]
        assert set(hosts) == {f"{bucket}.s3.eu-west-1.amazonaws.com"}
        return s3.get_object(Bucket=bucket, Key=NAME)["Body"].read()

    assert await asyncio.to_thread(use) == b"written"


@pytest.mark.parametrize("name", ["s3.us-east-1.amazonaws.com", "s3.amazonaws.com"])
async def test_a_presigned_url_of_a_bucket_by_its_name_is_fetched_through_the_edge(clients: Clients, name: str) -> None:
    def fetch() -> None:
        bucket = clients.new_bucket()
        virtual = {"signature_version": "s3v4", "s3": {"addressing_style": "virtual"}}
        s3 = clients.client("s3", endpoint_url=f"https://{name}", **virtual)
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": NAME})
        assert url.startswith(f"https://{bucket}.{name}/docker/registry%20v2/")
        answer = clients.fetch(url)
        assert (answer.status_code, answer.content) == (200, CONTENT), answer.text
        other = clients.new_bucket()
        assert clients.fetch(url.replace(bucket, other)).status_code == 403  # it is signed for the other name

    await asyncio.to_thread(fetch)


async def test_a_key_may_do_by_name_what_its_policies_say_and_no_more(clients: Clients) -> None:
    def use() -> None:
        bucket, other = clients.new_bucket(), clients.new_bucket()
        key = clients.aws.new_user(
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        )
        s3 = clients.client("s3", key)
        assert s3.get_object(Bucket=bucket, Key=NAME)["Body"].read() == CONTENT
        for denied in (
            lambda: s3.get_object(Bucket=other, Key=NAME),
            lambda: s3.put_object(Bucket=bucket, Key=NAME, Body=b""),
            lambda: s3.list_objects_v2(Bucket=bucket),
        ):
            with pytest.raises(ClientError) as refused:
                denied()
            assert refused.value.response["Error"]["Code"] == "AccessDenied"

    await asyncio.to_thread(use)


async def test_the_log_of_requests_has_the_bucket_that_a_host_names(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, requests_log.name)
    bucket = clients.aws.new_bucket()
    caplog.clear()
    await asyncio.to_thread(clients.client("s3").put_object, Bucket=bucket, Key="some/key", Body=b"")
    assert [one.getMessage().split()[:4] for one in caplog.records if one.name == requests_log.name] == [
        ["PUT", f"/{bucket}/some/key", "-", "200"]
    ]


async def test_other_services_have_their_names_too(clients: Clients) -> None:
    def ask() -> None:
        user = clients.aws.new_user()
        for service, region in (("sts", "eu-west-1"), ("sts", "us-east-1")):
            client = clients.client(service, user, region=region)
            hosts = hosts_of(client)
            assert client.get_caller_identity()["Arn"].endswith(f":user/{user.user}")
            assert hosts == [f"sts.{region}.amazonaws.com"]

    await asyncio.to_thread(ask)


async def test_a_bucket_with_a_dot_in_its_name_has_no_certificate(clients: Clients) -> None:
    """A wildcard stands for one label: Amazon S3, "Bucket naming rules"."""

    def fetch() -> None:
        with pytest.raises(requests.exceptions.SSLError, match="Hostname mismatch"):
            clients.fetch("https://with.dots.s3.us-east-1.amazonaws.com/")

    await asyncio.to_thread(fetch)


@pytest.mark.parametrize(
    ("service", "endpoint", "code"),
    [
        ("sts", "s3.us-east-1", "AuthorizationHeaderMalformed"),
        ("s3", "s3.eu-west-1", "AuthorizationHeaderMalformed"),
        ("s3", "sts.us-east-1", "SignatureDoesNotMatch"),
        ("sts", "sts.eu-west-1", "SignatureDoesNotMatch"),
    ],
)
async def test_a_name_answers_for_its_service_and_region_only(
    clients: Clients, service: str, endpoint: str, code: str
) -> None:
    def ask() -> None:
        client = clients.client(service, endpoint_url=f"https://{endpoint}.amazonaws.com")
        with pytest.raises(ClientError) as refused:
            client.list_buckets() if service == "s3" else client.get_caller_identity()
        assert refused.value.response["Error"]["Code"] == code

    await asyncio.to_thread(ask)


async def test_s3_takes_no_action_of_another_service_without_a_signature(clients: Clients) -> None:
    def ask() -> None:
        s3 = "https://s3.us-east-1.amazonaws.com"
        unsigned = clients.client("sts", endpoint_url=s3, signature_version=UNSIGNED)
        with pytest.raises(ClientError) as refused:
            unsigned.assume_role_with_web_identity(
                RoleArn="arn:aws:iam::123456789012:role/registry", RoleSessionName="pod", WebIdentityToken="a.b.c"
            )
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 405

    await asyncio.to_thread(ask)


async def test_a_port_that_aws_does_not_serve_and_a_load_balancers_name_are_looked_up(clients: Clients) -> None:
    def fetch() -> None:
        for url in ("https://s3.us-east-1.amazonaws.com:8443/", "https://a1b2-1.us-east-1.elb.amazonaws.com/"):
            with pytest.raises(requests.exceptions.ProxyError, match="502 no hosted zone holds"):
                clients.fetch(url)

    await asyncio.to_thread(fetch)
