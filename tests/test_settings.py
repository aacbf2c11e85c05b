"""Settings: what is accepted, and what each mistake says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from registry.settings import BucketSettings, Settings, SettingsError
from tests.mock_engine import PLAIN, configure

PROJECT = Path(__file__).parent.parent / "Pulumi.yaml"


def load(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Settings:
    configure(monkeypatch, PLAIN | settings)
    return Settings.load(pulumi.Config("registry"))


def test_a_hostname_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings == Settings(hostname="registry.example.com")
    assert (settings.zone, settings.replicas, settings.namespace) == ("example.com", 2, "kube-system")
    assert settings.bucket == BucketSettings(protect=True, force_destroy=False)


def test_every_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = {"name": "images", "protect": False, "forceDestroy": True, "endpoint": "https://s3.example.com:9000"}
    assert load(
        monkeypatch,
        hostname="registry.team.example.com",
        zone="example.com",
        privateZone=True,
        tls="none",
        image="registry:2.8.3",
        controller="ReplicationController",
        replicas=3,
        namespace="registry",
        identity="user",
        bucket=bucket,
        chunkSize=10485760,
    ) == Settings(
        hostname="registry.team.example.com",
        zone="example.com",
        private_zone=True,
        image="registry:2.8.3",
        controller="ReplicationController",
        replicas=3,
        namespace="registry",
        bucket=BucketSettings(name="images", protect=False, force_destroy=True, endpoint="https://s3.example.com:9000"),
        chunk_size=10485760,
    )


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
    ({"hostname": ""}, "registry:hostname is not set", "config set --path registry:hostname registry.example.com"),
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
    ({"privateZone": "perhaps"}, "registry:privateZone is 'perhaps', but must be true or false", "false"),
    ({"tls": "letsencrypt"}, "registry:tls is 'letsencrypt', but must be 'none'", 'registry:tls "none"'),
    ({"image": "registry"}, "name one release", "registry:3.1.1"),
    ({"image": "registry:latest"}, "name one release", "registry:3.1.1"),
    ({"image": "Registry:3.1.1"}, "be an image reference", "registry:3.1.1"),
    ({"image": "registry:3.1.1@sha256:beef"}, "64 hexadecimal digits", "registry:3.1.1"),
    ({"controller": "DaemonSet"}, "'Deployment' or 'ReplicationController'", '"Deployment"'),
    ({"replicas": "0"}, "registry:replicas is '0', but must be at least 1", "registry:replicas 2"),
    ({"replicas": "two"}, "be a whole number", "registry:replicas 2"),
    ({"replicas": "2.5"}, "be a whole number", "registry:replicas 2"),
    ({"namespace": "Kube_System"}, "be a Kubernetes namespace", "kube-system"),
    ({"identity": "irsa"}, "registry:identity is 'irsa', but must be 'user'", '"user"'),
    ({"chunkSize": 5242879}, "be at least 5242880", "registry:chunkSize 5242880"),
    ({"chunkSize": 67108865}, "be at most 67108864", "registry:chunkSize 5242880"),
    ({"bucket": "images"}, "be an object", "--path registry:bucket.name my-images"),
    (
        {"bucket": {"name": "Images"}},
        "registry:bucket.name is 'Images', but must be 3 to 63 lower-case",
        "leave it out",
    ),
    ({"bucket": {"name": "my.images"}}, "be 3 to 63 lower-case letters, digits and hyphens", "leave it out"),
    ({"bucket": {"name": "im"}}, "be 3 to 63", "leave it out"),
    ({"bucket": {"name": "images-s3alias"}}, "not use a prefix or suffix that S3 reserves", "choose another name"),
    ({"bucket": {"name": 7}}, "registry:bucket.name is 7, but must be text", "registry:bucket.name"),
    ({"bucket": {"protect": "x"}}, "registry:bucket.protect is 'x', but must be true or false", "bucket.protect true"),
    ({"bucket": {"forceDestroy": 2}}, "be true or false", "registry:bucket.forceDestroy false"),
    ({"bucket": {"endpoint": "s3.example.com"}}, "be the URL of an S3 API", "https://"),
    ({"bucket": {"endpoint": "https://s3.example.com/images"}}, "be the URL of an S3 API", "only scheme and host"),
    ({"bucket": {"forceDestory": True}}, "registry:bucket.forceDestory is True, but there is no", "use forceDestroy"),
    ({"replica": 3}, "registry:replica is '3', but there is no such setting", "use replicas"),
    ({"chunk_size": 5242880}, "registry:chunk_size is '5242880', but there is no such setting", "chunkSize"),
    ({"pullThrough": {}}, "registry:pullThrough is {}, but there is no such setting", "use one of hostname, zone"),
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
    for setting in ("registry:hostname", "registry:replicas", "registry:bucket.name", "registry:bucket.nam "):
        assert f"  {setting}" in message


def test_the_project_file_declares_each_setting_as_the_program_does() -> None:
    declared = yaml.safe_load(PROJECT.read_text())["config"]
    assert list(declared) == [field.alias for field in Settings.model_fields.values()]
    types = {str: "string", bool: "boolean", int: "integer", BucketSettings: "object"}
    for field in Settings.model_fields.values():
        declaration = declared[field.alias]
        assert declaration["description"] == field.description
        assert declaration["type"] == types.get(field.annotation, "string")  # type: ignore[arg-type]
        if field.is_required():
            assert "default" not in declaration
        else:
            default = field.default
            assert declaration["default"] == ({} if isinstance(default, BucketSettings) else default)


def test_the_description_of_the_bucket_names_each_of_its_settings() -> None:
    description = Settings.model_fields["bucket"].description or ""
    for field in BucketSettings.model_fields.values():
        assert f" {field.alias or ''}," in f"{description.replace(';', ',')}"
