"""Settings: what is accepted, and what each mistake says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pydantic import BaseModel

from registry.settings import BucketSettings, LoadBalancerSettings, RotationSettings, Settings, SettingsError
from tests.mock_engine import PLAIN, configure

KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
ALIAS = "arn:aws:kms:us-east-1:111122223333:alias/registry"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
PROJECT = Path(__file__).parents[2] / "Pulumi.yaml"


def load(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Settings:
    configure(monkeypatch, PLAIN | settings)
    return Settings.load(pulumi.Config("registry"))


def test_a_hostname_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings == Settings(hostname="registry.example.com")
    assert (settings.zone, settings.replicas, settings.namespace) == ("example.com", 2, "kube-system")
    assert settings.bucket == BucketSettings(protect=True, force_destroy=False)


def test_the_default_is_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert (settings.tls, settings.users, settings.network_policy) == ("acm", ["registry"], True)
    assert settings.bucket.tls_only


def test_every_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(
        monkeypatch,
        hostname="registry.team.example.com",
        zone="example.com",
        zoneId="Z0123456789ABCDEFGHIJ",
        privateZone=True,
        tls=CERTIFICATE,
        users=["ci", "laptop"],
        rotation={"accessKey": 2, "httpSecret": 3, "password": {"ci": 4}},
        image="registry:2.8.3",
        controller="ReplicationController",
        replicas=3,
        namespace="registry",
        identity="user",
        bucket={
            "name": "images",
            "protect": False,
            "forceDestroy": True,
            "kmsKeyArn": KEY,
            "versioning": True,
            "noncurrentVersionDays": 7,
            "endpoint": "http://s3.example.com:9000",
            "tlsOnly": False,
        },
        loadBalancer={
            "internal": True,
            "allowedCidrs": ["10.0.0.0/8"],
            "idleTimeoutSeconds": 4000,
            "sslNegotiationPolicy": "ELBSecurityPolicy-2016-08",
        },
        networkPolicy=False,
        chunkSize=10485760,
    ) == Settings(
        hostname="registry.team.example.com",
        zone="example.com",
        zone_id="Z0123456789ABCDEFGHIJ",
        private_zone=True,
        tls=CERTIFICATE,
        users=["ci", "laptop"],
        rotation=RotationSettings(access_key=2, http_secret=3, password={"ci": 4}),
        image="registry:2.8.3",
        controller="ReplicationController",
        replicas=3,
        namespace="registry",
        bucket=BucketSettings(
            name="images",
            protect=False,
            force_destroy=True,
            kms_key_arn=KEY,
            versioning=True,
            noncurrent_version_days=7,
            endpoint="http://s3.example.com:9000",
            tls_only=False,
        ),
        load_balancer=LoadBalancerSettings(
            internal=True,
            allowed_cidrs=["10.0.0.0/8"],
            idle_timeout_seconds=4000,
            ssl_negotiation_policy="ELBSecurityPolicy-2016-08",
        ),
        network_policy=False,
        chunk_size=10485760,
    )


@pytest.mark.parametrize(
    ("others", "is_open"),
    [
        ({"anonymousPush": True}, True),
        ({"anonymousPush": True, "loadBalancer": {"internal": True}}, False),
        ({"loadBalancer": {"internal": True}}, False),
        ({"loadBalancer": {"allowedCidrs": ["10.0.0.0/8"]}}, False),
    ],
    ids=str,
)
def test_no_users_at_all_is_a_choice(monkeypatch: pytest.MonkeyPatch, others: dict[str, Any], is_open: bool) -> None:
    settings = load(monkeypatch, users=[], **others)
    assert (settings.users, settings.is_open) == ([], is_open)


@pytest.mark.parametrize(
    "arn",
    [
        CERTIFICATE,
        "arn:aws-cn:acm:cn-north-1:111122223333:certificate/12345678-1234-1234-1234-123456789012",
        "arn:aws:iam::111122223333:server-certificate/company/registry",
    ],
)
def test_a_certificate_is_in_acm_or_iam(monkeypatch: pytest.MonkeyPatch, arn: str) -> None:
    assert load(monkeypatch, tls=arn).tls == arn


def test_a_hostname_of_64_characters_gets_a_certificate_and_a_longer_one_is_served_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load(monkeypatch, hostname=f"{'a' * 52}.example.com").tls == "acm"
    assert load(monkeypatch, hostname=f"{'a' * 53}.example.com", tls=CERTIFICATE).tls == CERTIFICATE


def test_an_empty_zone_is_the_hostnames_parent_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, hostname="registry.dev.example.com", zone="").zone == "dev.example.com"


def test_the_hostname_may_be_the_zone_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, hostname="registry.example.com", zone="registry.example.com").zone == (
        "registry.example.com"
    )


@pytest.mark.parametrize(
    "image",
    [
        "registry:2",
        "registry:3.1.1",
        "docker.io/library/registry:3.1.1",
        "mirror.example.com:5000/registry:3.1.1",
        "registry@sha256:" + "0" * 64,
        "registry:latest@sha256:" + "0" * 64,
    ],
)
def test_an_image_is_named_by_tag_or_digest(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    assert load(monkeypatch, image=image).image == image


MISTAKES = [
    ({"hostname": ""}, "hostname is not set", "config set hostname registry.example.com"),
    ({"hostname": "https://registry.example.com"}, "be a fully qualified domain name", "without scheme"),
    ({"hostname": "registry.example.com:443"}, "be a fully qualified domain name", "port"),
    ({"hostname": "registry.example.com/app"}, "be a fully qualified domain name", "path"),
    ({"hostname": "registry.example.com."}, "be a fully qualified domain name", "trailing dot"),
    ({"hostname": "registry"}, "be a fully qualified domain name", "registry.example.com"),
    ({"hostname": "Registry.example.com"}, "lower-case labels", "registry.example.com"),
    ({"hostname": "-registry.example.com"}, "be a fully qualified domain name", "registry.example.com"),
    ({"hostname": "a" * 64 + ".example.com"}, "be a fully qualified domain name", "registry.example.com"),
    ({"hostname": "a." * 130 + "com"}, "be a fully qualified domain name", "registry.example.com"),
    ({"hostname": "10.0.0.1"}, "be a name, not an IP address", "Route53"),
    ({"zone": "example.org"}, "holds the hostname, which is registry.example.com", "leave it out"),
    ({"zone": "ample.com"}, "holds the hostname", "leave it out"),
    ({"zone": "example"}, "be a fully qualified domain name", "registry.example.com"),
    ({"privateZone": "perhaps"}, "privateZone is 'perhaps', but must be true or false", "false"),
    ({"tls": "letsencrypt"}, "tls is 'letsencrypt', but must be acm, none, or the ARN", "take acm"),
    ({"tls": "arn:aws:acm:us-east-1:1234:certificate/1"}, "be acm, none, or the ARN", "all of an existing one's ARN"),
    ({"tls": KEY}, "the ARN of a certificate in ACM or IAM", "take acm"),
    ({"tls": "ACM"}, "be acm, none", "take acm"),
    ({"privateZone": True}, "tls is 'acm', but must not be acm with privateZone", "AWS Private CA"),
    (
        {"hostname": f"{'a' * 54}.example.com", "zoneId": "Z1"},
        "not be acm with a hostname of more than 64 characters, and it has 66",
        "choose a shorter hostname",
    ),
    ({"zoneId": "/hostedzone/Z1"}, "zoneId is '/hostedzone/Z1', but must be the id", "without /hostedzone/"),
    ({"users": "registry"}, "users is 'registry', but must be a list", "'users[0]' registry"),
    ({"users": ["registry", "a:b"]}, "users[1] is 'a:b', but must be at most 63 letters", "ci-builder"),
    ({"users": [""]}, "users[0] is '', but must be at most 63 letters", "ci-builder"),
    ({"users": ["-ci"]}, "with a letter or digit first", "ci-builder"),
    ({"users": ["u" * 64]}, "be at most 63 letters", "ci-builder"),
    ({"users": [7]}, "users[0] is 7, but must be text", "'users[0]' registry"),
    ({"users": []}, "anonymousPush is False, but must be true where users is empty", "config set anonymousPush true"),
    (
        {"users": [], "loadBalancer": {"allowedCidrs": ["10.0.0.0/8", "0.0.0.0/0"]}},
        "a public load balancer admits every address",
        "loadBalancer.internal",
    ),
    (
        {"users": [], "loadBalancer": {"allowedCidrs": ["0.0.0.0/1", "128.0.0.0/1"]}},
        "a public load balancer admits every address",
        "loadBalancer.internal",
    ),
    ({"users": ["ci", "ci"]}, "name each user once", "take the second one out"),
    ({"rotation": 2}, "rotation is '2', but must be an object", "rotation.accessKey 1"),
    ({"rotation": {"accessKey": ""}}, "rotation.accessKey is '', but must be a text or a number", "the date"),
    ({"rotation": {"httpSecret": [2]}}, "rotation.httpSecret is [2], but must be a text or a number", "the date"),
    (
        {"rotation": {"password": 2}},
        "rotation.password is 2, but must be an object",
        "config rm --path rotation.password && pulumi config set --path rotation.password.registry 2026-11-25",
    ),
    (
        {"rotation": {"password": {"registry": None}}},
        "rotation.password.registry is not set, but must be a text",
        "date",
    ),
    ({"rotation": {"password": {"ci": 2}}}, "only users that are in users, not ci", "use one of registry"),
    ({"rotation": {"accesKey": 2}}, "rotation.accesKey is 2, but there is no such setting", "use accessKey"),
    ({"image": "registry"}, "name one release", "registry:3.1.2"),
    ({"image": "registry:latest"}, "name one release", "registry:3.1.2"),
    ({"image": "Registry:3.1.1"}, "be an image reference", "registry:3.1.2"),
    ({"image": "registry:3.1.1@sha256:beef"}, "64 hexadecimal digits", "registry:3.1.2"),
    ({"controller": "DaemonSet"}, "'Deployment' or 'ReplicationController'", "controller Deployment"),
    ({"replicas": "0"}, "replicas is '0', but must be at least 1", "replicas 2"),
    ({"replicas": "two"}, "be a whole number", "replicas 2"),
    ({"replicas": "2.5"}, "be a whole number", "replicas 2"),
    ({"namespace": "Kube_System"}, "be a Kubernetes namespace", "kube-system"),
    ({"identity": "role"}, "identity is 'role', but must be 'user', 'irsa' or 'podIdentity'", "identity user"),
    (
        {"identity": "irsa"},
        "identity is 'irsa', but must have oidcProviderArn or cluster with irsa",
        "set cluster NAME",
    ),
    ({"cluster": "a cluster"}, "be the name of an EKS cluster", "aws eks list-clusters"),
    ({"oidcProviderArn": "oidc.eks"}, "be the ARN of an OIDC provider", "list-open-id-connect-providers"),
    ({"permissionsBoundary": "boundary"}, "be the ARN of an IAM policy", "arn:aws:iam::111122223333:policy/boundary"),
    ({"path": "platform"}, "be a path of IAM: / or words with a slash", "/platform/registry/"),
    ({"imagePullSecrets": ["My Secret"]}, "be the name of a Secret", "kubectl get secrets"),
    (
        {"podAnnotations": {"kube-registry/owner": "x"}},
        "and not begin with pulumi.com/ or kube-registry/: not kube",
        "take it",
    ),
    ({"podAnnotations": {"a b": "x"}}, "podAnnotations is {'a b': 'x'}, but must", "take it out"),
    ({"environment": {"LOG_LEVEL": "x"}}, "have keys that begin with REGISTRY_", "REGISTRY_LOG_FIELDS"),
    (
        {"environment": {"REGISTRY_PROXY_PASSWORD": "x"}},
        "have nothing in it that is secret",
        "pulumi config rm --path environment.REGISTRY_PROXY_PASSWORD",
    ),
    (
        {"environment": {"REGISTRY_PROXY": "{remoteurl: https://x.example.com, password: x}"}},
        "have nothing in it that is secret",
        "pulumi config rm --path environment.REGISTRY_PROXY",
    ),
    (
        {"environment": {"REGISTRY_NOTIFICATIONS_ENDPOINTS": '[{"headers": {"Authorization": ["Bearer x"]}}]'}},
        "have nothing in it that is secret",
        "pulumi config rm --path environment.REGISTRY_NOTIFICATIONS_ENDPOINTS",
    ),
    ({"path": f"/{'a' * 511}/"}, "be a path of IAM", "write it so: /platform/registry/"),
    ({"chunkSize": 5242879}, "chunkSize is '5242879', but must be a size from 5Mi to 64Mi", "chunkSize 32Mi"),
    ({"chunkSize": "65Mi"}, "chunkSize is '65Mi', but must be a size from 5Mi to 64Mi", "leave it out for 16Mi"),
    ({"chunkSize": "16M"}, "chunkSize is '16M', but must be a size from 5Mi", "leave it out for 16Mi"),
    ({"bucket": "images"}, "be an object", "--path bucket.name my-images"),
    (
        {"bucket": {"name": "Images"}},
        "bucket.name is 'Images', but must be 3 to 63 lower-case",
        "leave it out",
    ),
    ({"bucket": {"name": "my.images"}}, "be 3 to 63 lower-case letters, digits and hyphens", "leave it out"),
    ({"bucket": {"name": "im"}}, "be 3 to 63", "leave it out"),
    ({"bucket": {"name": "images-s3alias"}}, "not use a prefix or suffix that S3 reserves", "choose another name"),
    ({"bucket": {"name": "images-an"}}, "not use a prefix or suffix that S3 reserves", "choose another name"),
    ({"bucket": {"name": 7}}, "bucket.name is 7, but must be text", "bucket.name"),
    ({"bucket": {"protect": "x"}}, "bucket.protect is 'x', but must be true or false", "bucket.protect true"),
    ({"bucket": {"forceDestroy": 2}}, "be true or false", "bucket.forceDestroy false"),
    ({"bucket": {"kmsKeyArn": ALIAS}}, "be the ARN of a KMS key, not of an alias", "arn:aws:kms:"),
    ({"bucket": {"kmsKeyArn": "12345678"}}, "bucket.kmsKeyArn is '12345678', but must be the ARN", "key/"),
    ({"bucket": {"versioning": "x"}}, "bucket.versioning is 'x', but must be true or false", "g false"),
    ({"bucket": {"noncurrentVersionDays": 0}}, "be at least 1", "bucket.noncurrentVersionDays 30"),
    (
        {"bucket": {"endpoint": "http://s3.example.com"}},
        "but must have https, or bucket.tlsOnly denies",
        "tlsOnly false",
    ),
    (
        {"loadBalancer": {"allowedCidrs": []}},
        "loadBalancer.allowedCidrs is [], but must have",
        "Cidrs[0]' 203",
    ),
    ({"loadBalancer": {"allowedCidrs": "10.0.0.0/8"}}, "be a list", "'loadBalancer.allowedCidrs[0]' 203.0"),
    ({"loadBalancer": {"allowedCidrs": ["10.0.0.1"]}}, "allowedCidrs[0] is '10.0.0.1', but must be a range", "/32"),
    ({"loadBalancer": {"allowedCidrs": ["10.0.0.1/8"]}}, "no bit set behind the first BITS", "203.0.113.0/24"),
    ({"loadBalancer": {"allowedCidrs": ["10.0.0.0/33"]}}, "be a range of IPv4 addresses", "203.0.113.0/24"),
    ({"loadBalancer": {"allowedCidrs": ["2001:db8::/32"]}}, "be a range of IPv4 addresses", "203.0.113.0/24"),
    ({"loadBalancer": {"idleTimeoutSeconds": 0}}, "be at least 1", "idleTimeoutSeconds 900"),
    ({"loadBalancer": {"idleTimeoutSeconds": 4001}}, "be at most 4000", "idleTimeoutSeconds 900"),
    (
        {"loadBalancer": {"sslNegotiationPolicy": "ELBSecurityPolicy-TLS-9"}},
        "must be a predefined security policy of classic or network load balancers",
        "classic ones have ELBSecurityPolicy-TLS-1-2-2017-01, ",
    ),
    ({"loadBalancer": {"class": "other/nlb"}}, "must be 'service.k8s.aws/nlb' or ", "class service.k8s.aws/nlb"),
    (
        {"loadBalancer": {"class": "service.k8s.aws/nlb", "type": "network"}},
        "loadBalancer.type is 'network', but must be left out where loadBalancer.class is set",
        "pulumi config rm --path loadBalancer.type",
    ),
    ({"loadBalancer": {"type": "application"}}, "must be 'classic' or 'network'", "type network"),
    ({"loadBalancer": {"targetType": "pod"}}, "must be 'instance' or 'ip'", "targetType ip"),
    ({"loadBalancer": {"subnets": ["a,b"]}}, "must be a subnet's id", "aws ec2 describe-subnets"),
    ({"loadBalancer": {"subnets": []}}, "must have at least 1 entry", "subnets[0]"),
    (
        {"loadBalancer": {"annotations": {"not a key": "x"}}},
        "must have keys that Kubernetes takes, PREFIX/NAME of letters, digits and ._-: not not a key",
        "kubectl annotate",
    ),
    ({"redirect": "maybe"}, "must be true or false", "redirect true"),
    (
        {"zoneRoleArn": "registry-zone"},
        "must be the ARN of an IAM role",
        "arn:aws:iam::111122223333:role/registry-zone",
    ),
    (
        {"zone": "example.com", "hostnames": ["images.example.org"]},
        "hostnames is ['images.example.org'], but must be names in the zone, each once, and not the hostname",
        "take images.example.org out",
    ),
    ({"hostnames": ["registry.example.com"]}, "and not the hostname: registry.example.com is there twice", "take"),
    ({"hostnames": "images.example.com"}, "be a list", "'hostnames[0]' images.example.com"),
    (
        {"tags": {"aws:team": "x"}},
        "that don't begin with aws: or kubernetes.io/, and differ in more than case: not aws:team",
        "cost-center",
    ),
    ({"tags": {"team": "x", "Team": "y"}}, "and differ in more than case: not team", "take it out"),
    ({"tags": {f"tag-{n}": "" for n in range(41)}}, "have at most 40 entries, ", "take it out"),
    ({"tags": ["team"]}, "tags is ['team'], but must be an object", "set --path tags.team platform"),
    ({"users": ["ci"], "primaryUser": "Ann Smith"}, "primaryUser is 'Ann Smith', but must be at most 63", "ci-builder"),
    ({"tags": {"team": "a,b"}}, "be at most 256 letters, digits, spaces", "platform"),
    (
        {"bucket": {"name": "images"}, "accessLogs": {"bucket": "images"}},
        "be another bucket than the images', or each log would be logged",
        "--path accessLogs.bucket NAME",
    ),
    ({"loadBalancer": {"internal": "x"}}, "loadBalancer.internal is 'x', but must be true or", "l false"),
    ({"loadBalancer": {"allowedCIDRs": ["10.0.0.0/8"]}}, "there is no such setting", "use allowedCidrs"),
    ({"networkPolicy": "x"}, "networkPolicy is 'x', but must be true or false", "networkPolicy true"),
    ({"bucket": {"endpoint": "s3.example.com"}}, "be the URL of an S3 API", "https://"),
    ({"bucket": {"endpoint": "https://s3.example.com/images"}}, "be the URL of an S3 API", "only scheme and host"),
    ({"bucket": {"forceDestory": True}}, "bucket.forceDestory is True, but there is no", "use forceDestroy"),
    ({"replica": 3}, "replica is '3', but there is no such setting", "use replicas"),
    ({"chunk_size": 5242880}, "chunk_size is '5242880', but there is no such setting", "chunkSize"),
    ({"pullThrough": {}}, "pullThrough is {}, but there is no such setting", "use one of hostname, zone"),
]


@pytest.mark.parametrize(("settings", "rule", "remedy"), MISTAKES, ids=[str(mistake[0])[:60] for mistake in MISTAKES])
def test_a_mistake_names_setting_value_rule_and_remedy(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], rule: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, **settings)
    headline, mistake, its_remedy = str(error.value).splitlines()
    assert headline == "the configuration has a mistake:"
    assert rule in mistake
    assert its_remedy.startswith("    Remedy: ")
    assert remedy in its_remedy


def test_all_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, hostname="x", replicas="0", bucket={"name": "I", "nam": 1})
    message = str(error.value)
    assert message.splitlines()[0] == "the configuration has 4 mistakes:"
    for setting in ("hostname", "replicas", "bucket.name", "bucket.nam"):
        assert f"\n  {setting} is " in message


def test_a_mistake_is_told_without_a_namespace_so_that_it_fits_a_project_of_any_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(monkeypatch, {"hostname": "registry.example.com", "bucket": {"noncurrentVersionDays": 0}}, "images")
    with pytest.raises(SettingsError) as error:
        Settings.load(pulumi.Config("images"))
    assert str(error.value).splitlines()[1:] == [
        "  bucket.noncurrentVersionDays is 0, but must be at least 1.",
        "    Remedy: pulumi config set --path bucket.noncurrentVersionDays 30",
    ]


def test_the_project_file_declares_each_setting_as_the_program_does() -> None:
    declared = yaml.safe_load(PROJECT.read_text())["config"]
    assert list(declared) == [field.alias for field in Settings.model_fields.values()]
    written = Settings.model_json_schema()["properties"]
    for field in Settings.model_fields.values():
        declaration = declared[field.alias]
        assert declaration["description"] == field.description
        has_fields = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        assert declaration["type"] == ("object" if has_fields else written[field.alias].get("type", "string"))
        if field.is_required():
            assert "default" not in declaration
        else:
            assert declaration["default"] == ({} if has_fields else field.default)


GROUPS = [name for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)]


@pytest.mark.parametrize("group", GROUPS)
def test_the_description_of_a_group_names_each_of_its_settings(group: str) -> None:
    field = Settings.model_fields[group]
    described = re.findall(r"\w+", (field.description or "").partition(":")[2].partition(";")[0])
    assert described == [inner.alias for inner in type(field.default).model_fields.values()]
