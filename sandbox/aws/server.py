"""The emulated AWS: moto behind IAM enforcement over HTTP and HTTPS, and the account as it is found.

`python -m sandbox.aws --name NAME --network N` runs it until SIGTERM. All its state is in memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from sandbox.authority import Authority
from sandbox.aws import moto_corrections, role_sessions
from sandbox.aws.clusters import ControlPlane, control_planes
from sandbox.aws.discovery import Discovery
from sandbox.aws.moto_corrections.target_health import read_health_from
from sandbox.aws.service_endpoints import ServiceEndpoints, host_of, server_context
from sandbox.aws.signatures import Signatures
from sandbox.layout import AVAILABILITY_ZONE, CLUSTER_NAME, DOMAIN, REGION, SUBNET_CIDR, Account, Layout
from sandbox.tools.pins import KUBERNETES_VERSION

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("sandbox.aws")
requests_log = logging.getLogger("sandbox.aws.requests")
"""Every request; as S3's own access logs, it is kept where somebody asks for it."""
requests_log.propagate = False

REQUESTS = "aws-requests"
"""The name of the log of requests."""

ADMINISTRATOR = "administrator"
ADMINISTRATOR_POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
READ_SECONDS = 180
"""How long a client waits for an answer: on a busy machine moto's first of a kind, which loads much, takes long."""
FREE_CALLS = 3
"""The calls that `make_administrator` makes: moto lets that many in before it asks for permissions."""

VPC_CIDR = "172.31.0.0/16"
SUBNET_ROLES = ("kubernetes.io/role/elb", "kubernetes.io/role/internal-elb")
"""Tags of the subnets for load balancers, public and internal: docs/deploy/subnet_discovery.md of the controller."""
INSTANCE_TYPE = "m5.large"
CLUSTER_ROLE = f"{CLUSTER_NAME}-cluster"
"""The role of EKS, without which it makes no cluster."""
CLIENT_ID = "sts.amazonaws.com"
"""The audience of tokens for STS, as `eksctl utils associate-iam-oidc-provider` gives it to a cluster's provider."""


class RequestHandler(MotoRequestHandler):
    """Logs failures of the emulation, and every request apart: without the query's values, which may hold a signature.

    A line of the requests' log: time, method, path (with the bucket first, also where the host names it), the query's
    names (a list's prefix with its value), status, how it was signed (`header`, `presigned` or `unsigned`), and the
    client.
    """

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log a request, and a 5xx status as an error."""
        parts = urlsplit(self.path)
        if str(code).startswith("5"):
            log.error("%s %s: %s", self.command, parts.path, code)
        query = parse_qsl(parts.query, keep_blank_values=True)
        names = ",".join(f"prefix={value}" if name == "prefix" else name for name, value in query)
        presigned = "presigned" if "X-Amz-Signature" in parts.query else "unsigned"
        host = host_of(self.headers.get("Host", ""))
        path = f"/{host.bucket}{parts.path}" if host and host.bucket else parts.path
        requests_log.info(
            "%s %s %s %s %s %s",
            self.command, path, names or "-", str(code).split()[0],
            "header" if "Authorization" in self.headers else presigned,
            self.headers.get("User-Agent", "-").partition(" ")[0],
        )  # fmt: skip


def application(target_health: Path | None = None) -> WSGIApplication:
    """Make the emulated AWS of this process: moto, corrected, with nothing free but the first `FREE_CALLS`.

    `target_health` is the file in which the edge writes how targets of load balancers are.
    """
    moto_corrections.correct()
    read_health_from(target_health)
    settings.INITIAL_NO_AUTH_ACTION_COUNT = FREE_CALLS
    settings.ACM_VALIDATION_WAIT = 0
    ActionAuthenticatorMixin.request_count = 0
    return ServiceEndpoints(Discovery(Signatures(DomainDispatcherApplication(create_backend_app))))


@contextmanager
def serving(app: WSGIApplication, url: str, context: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve `app` on the address and port of `url`, over TLS if there is a `context`, a thread per request.

    Exits the process if the port is taken.
    """
    address = urlsplit(url)
    server = make_server(address.hostname or "", address.port or 0, app, threaded=True, request_handler=RequestHandler)
    if context:
        # Done here and not by werkzeug, whose accepting thread would wait for each client's handshake.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.ssl_context = context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def client(service: str, url: str, key_id: str, secret_key: str, authority: Path | None = None) -> Any:
    """Make a boto3 client of the emulated AWS at `url`, without proxies and retries.

    `authority` is the certificate to trust, if the URL is one of HTTPS.
    """
    session = boto3.Session(aws_access_key_id=key_id, aws_secret_access_key=secret_key, region_name=REGION)
    config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=READ_SECONDS)
    return session.client(service, endpoint_url=url, verify=authority and str(authority), config=config)


def make_administrator(url: str) -> tuple[str, str]:
    """Make the account's administrator with the calls that are free; return its access key's id and secret key."""
    iam = client("iam", url, "nobody", "nothing")
    iam.create_user(UserName=ADMINISTRATOR)
    iam.put_user_policy(UserName=ADMINISTRATOR, PolicyName=ADMINISTRATOR, PolicyDocument=ADMINISTRATOR_POLICY)
    key = iam.create_access_key(UserName=ADMINISTRATOR)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def found_account(url: str, pod_network: str) -> Account:
    """Make the account that the stack finds: administrator, cluster with its network and instance, and hosted zone.

    The AWS cloud controller finds subnet and security group by the cluster's tag, and takes a subnet for public if
    its route table leads to an internet gateway. The AWS Load Balancer Controller asks for the tags of subnets' roles,
    and for the interface that has a pod's address: the instance's is assigned `pod_network` as a prefix, as it is by
    the VPC's network plugin (in /28 of the VPC's own addresses).
    """
    key_id, secret_key = make_administrator(url)
    ec2 = client("ec2", url, key_id, secret_key)

    def tags(resource: str) -> list[dict[str, Any]]:
        cluster = {"Key": f"kubernetes.io/cluster/{CLUSTER_NAME}", "Value": "owned"}
        return [{"ResourceType": resource, "Tags": [{"Key": "Name", "Value": CLUSTER_NAME}, cluster]}]

    vpc = ec2.create_vpc(CidrBlock=VPC_CIDR, TagSpecifications=tags("vpc"))["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock=SUBNET_CIDR, AvailabilityZone=AVAILABILITY_ZONE, TagSpecifications=tags("subnet")
    )["Subnet"]["SubnetId"]
    ec2.create_tags(Resources=[subnet], Tags=[{"Key": role, "Value": "1"} for role in SUBNET_ROLES])
    gateway = ec2.create_internet_gateway(TagSpecifications=tags("internet-gateway"))["InternetGateway"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    route_tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    main = route_tables[0]["RouteTableId"]
    ec2.create_tags(Resources=[main], Tags=tags("route-table")[0]["Tags"])
    ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway["InternetGatewayId"])
    group = ec2.create_security_group(
        GroupName=CLUSTER_NAME, Description="The cluster's nodes", VpcId=vpc, TagSpecifications=tags("security-group")
    )["GroupId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(
        ImageId=image, InstanceType=INSTANCE_TYPE, MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[group],
        TagSpecifications=tags("instance"),
    )["Instances"][0]  # fmt: skip
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.assign_private_ip_addresses(NetworkInterfaceId=interface, Ipv4Prefixes=[pod_network])
    _make_cluster(
        client("eks", url, key_id, secret_key), client("iam", url, key_id, secret_key), subnet=subnet, group=group
    )
    route53 = client("route53", url, key_id, secret_key)
    zone = route53.create_hosted_zone(Name=DOMAIN, CallerReference=str(uuid.uuid4()))["HostedZone"]["Id"]
    return Account(
        access_key_id=key_id,
        secret_access_key=secret_key,
        vpc_id=vpc,
        subnet_id=subnet,
        instance_id=instance["InstanceId"],
        private_dns_name=instance["PrivateDnsName"],
        private_ip=instance["PrivateIpAddress"],
        zone_id=zone.removeprefix("/hostedzone/"),
    )


def _make_cluster(eks: Any, iam: Any, *, subnet: str, group: str) -> None:
    """Make the EKS cluster that the sandbox's own is, and the IAM provider for its issuer."""
    trust = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=CLUSTER_ROLE, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    network = {"subnetIds": [subnet], "securityGroupIds": [group]}
    cluster = eks.create_cluster(name=CLUSTER_NAME, roleArn=role, resourcesVpcConfig=network)["cluster"]
    iam.create_open_id_connect_provider(Url=cluster["identity"]["oidc"]["issuer"], ClientIDList=[CLIENT_ID])


def main(arguments: list[str]) -> None:
    """Serve the cloud of the sandbox that `arguments` name; once it can be used, `Layout.account_file` exists."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description="The emulated AWS of one sandbox.")
    parser.add_argument("--name", required=True, help="the sandbox's name")
    parser.add_argument("--network", required=True, type=int, help="the N of its addresses 127.N.0.0/16")
    parser.add_argument("--longest-session", type=float, default=math.inf, help="of a role, in seconds")
    options = parser.parse_args(arguments)
    layout = Layout(name=options.name, network=options.network)
    role_sessions.longest_seconds = options.longest_session

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    layout.logs.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(layout.logs / f"{REQUESTS}.log", mode="w")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    requests_log.addHandler(to_file)
    requests_log.setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    layout.directory.mkdir(parents=True, exist_ok=True)
    layout.account_file.unlink(missing_ok=True)
    tls = server_context(Authority.open(layout), layout.address)
    control_planes[CLUSTER_NAME] = ControlPlane(
        layout.service_account_issuer,
        layout.service_account_public_key,
        layout.kubernetes_url,
        layout.authority_certificate,
        ".".join(KUBERNETES_VERSION.removeprefix("v").split(".")[:2]),
    )
    app = application(layout.target_health_file)
    with serving(app, layout.cloud_url), serving(app, layout.cloud_tls_url, tls):
        found_account(layout.cloud_url, layout.pod_network).save(layout.account_file)
        log.info("The emulated AWS is ready on %s and %s.", layout.cloud_url, layout.cloud_tls_url)
        stop.wait()
        log.info("The emulated AWS ends.")
    layout.account_file.unlink(missing_ok=True)
