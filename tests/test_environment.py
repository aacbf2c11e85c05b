"""The registry's environment, from settings alone."""

from __future__ import annotations

import pytest
import yaml

from registry.environment import (
    ACCESS_KEY_VARIABLES,
    SECRET_VARIABLES,
    environment_mistakes,
    memory_limit,
    registry_environment,
)
from registry.settings import MIB, BucketSettings, Settings

SETTINGS = Settings(hostname="registry.example.com")
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"


def test_the_posts_variables_are_set_to_the_values_that_work() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert (
        variables.items()
        >= {
            "REGISTRY_HTTP_ADDR": ":5000",
            "REGISTRY_STORAGE": "s3",
            "REGISTRY_STORAGE_S3_REGION": "eu-central-1",
            "REGISTRY_STORAGE_S3_BUCKET": "images",
            "REGISTRY_STORAGE_S3_SECURE": "true",
            "REGISTRY_STORAGE_S3_V4AUTH": "true",
            "REGISTRY_STORAGE_S3_CHUNKSIZE": "16777216",
        }.items()
    )


def test_what_the_images_configure_differently_is_said_for_all_of_them() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert (
        variables.items()
        >= {
            "REGISTRY_HTTP_DEBUG_ADDR": "127.0.0.1:5001",
            "REGISTRY_LOG_LEVEL": "info",
            "REGISTRY_LOG_FORMATTER": "json",
            "REGISTRY_LOG_ACCESSLOG_DISABLED": "true",
            "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory",
            "OTEL_TRACES_EXPORTER": "none",
            "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional",
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        }.items()
    )


def test_one_failed_look_at_s3_takes_no_pod_out() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert int(variables["REGISTRY_HEALTH_STORAGEDRIVER_THRESHOLD"]) > 1


def test_the_three_secrets_of_the_post_come_from_elsewhere() -> None:
    assert {*ACCESS_KEY_VARIABLES, *SECRET_VARIABLES} == {
        "REGISTRY_STORAGE_S3_ACCESSKEY",
        "REGISTRY_STORAGE_S3_SECRETKEY",
        "REGISTRY_HTTP_SECRET",
    }
    assert not {*ACCESS_KEY_VARIABLES, *SECRET_VARIABLES} & set(
        registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    )


def test_another_endpoint_is_addressed_by_path() -> None:
    settings = SETTINGS.model_copy(update={"bucket": BucketSettings(endpoint="https://s3.example.com")})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_S3_REGIONENDPOINT"] == "https://s3.example.com"
    assert variables["REGISTRY_STORAGE_S3_FORCEPATHSTYLE"] == "true"


def test_aws_is_left_to_the_driver_without_an_endpoint() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert not {name for name in variables if name.endswith(("REGIONENDPOINT", "FORCEPATHSTYLE"))}


@pytest.mark.parametrize("tls", ["acm", "none"])
def test_clients_are_led_on_at_the_name_and_port_that_they_came_by(tls: str) -> None:
    settings = SETTINGS.model_copy(update={"tls": tls})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_HTTP_RELATIVEURLS"] == "true"
    assert "REGISTRY_HTTP_HOST" not in variables


def test_users_log_in_by_an_htpasswd_file() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert {name: value for name, value in variables.items() if name.startswith("REGISTRY_AUTH")} == {
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "kube-registry",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/registry/htpasswd",
    }


def test_without_users_nobody_is_asked_to_log_in() -> None:
    settings = SETTINGS.model_copy(update={"users": []})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert not [name for name in variables if name.startswith("REGISTRY_AUTH")]


def test_the_buckets_default_encrypts_so_no_pod_minds_a_change_of_it() -> None:
    settings = SETTINGS.model_copy(update={"bucket": BucketSettings(kms_key_arn=KEY)})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables == registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_S3_ENCRYPT"] == "false"
    assert "REGISTRY_STORAGE_S3_KEYID" not in variables


def test_the_memory_that_the_registry_keeps_to_is_below_the_limit_and_grows_with_the_chunk_size() -> None:
    kept_to = {}
    for size in (5 * MIB, 64 * MIB):
        settings = SETTINGS.model_copy(update={"chunk_size": size})
        variables = registry_environment(settings, bucket="images", region="eu-central-1")
        kept_to[size] = int(variables["GOMEMLIMIT"].removesuffix("MiB")) * MIB
        assert 0.8 * memory_limit(size) < kept_to[size] < memory_limit(size)
    assert kept_to[64 * MIB] > kept_to[5 * MIB]


def test_the_chunk_size_is_in_bytes() -> None:
    settings = SETTINGS.model_copy(update={"chunk_size": 33554432})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_S3_CHUNKSIZE"] == "33554432"


def test_without_redirects_the_pods_hand_out_the_layers_themselves() -> None:
    def redirects(allowed: bool) -> str | None:
        settings = SETTINGS.model_copy(update={"redirect": allowed})
        variables = registry_environment(settings, bucket="images", region="eu-central-1")
        return variables.get("REGISTRY_STORAGE_REDIRECT_DISABLE")

    assert (redirects(True), redirects(False)) == (None, "true")


def test_every_value_means_as_yaml_what_it_says_as_text() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    for name, value in variables.items():
        assert str(yaml.safe_load(value)).lower() == value.lower(), name


def test_further_variables_come_beside_the_stacks_own() -> None:
    settings = Settings(hostname="registry.example.com", environment={"REGISTRY_STORAGE_DELETE_ENABLED": "true"})
    assert environment_mistakes(settings) == []
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_DELETE_ENABLED"] == "true"
    own = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert variables.items() - own.items() == {("REGISTRY_STORAGE_DELETE_ENABLED", "true")}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("REGISTRY_LOG_LEVEL", "REGISTRY_LOG_LEVEL"),
        ("REGISTRY_HTTP", "REGISTRY_HTTP_ADDR"),
        ("REGISTRY_STORAGE_S3", "REGISTRY_STORAGE_S3_REGION"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "REGISTRY_AUTH_HTPASSWD_REALM"),
        # Of a setting that is not set, or of the storage check.
        ("REGISTRY_STORAGE_S3_REGIONENDPOINT", "REGISTRY_STORAGE_S3_REGIONENDPOINT"),
        ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "REGISTRY_STORAGE_S3_FORCEPATHSTYLE"),
        ("REGISTRY_STORAGE_REDIRECT_DISABLE", "REGISTRY_STORAGE_REDIRECT_DISABLE"),
        ("REGISTRY_STORAGE_S3_ROOTDIRECTORY", "REGISTRY_STORAGE_S3_ROOTDIRECTORY"),
    ],
)
def test_a_variable_that_the_stack_sets_or_a_part_of_is_refused(name: str, own: str) -> None:
    (mistake,) = environment_mistakes(Settings(hostname="registry.example.com", environment={name: "x"}))
    assert f"environment.{name} is 'x', but must be left out, as the stack sets {own} itself" in mistake
    assert f"pulumi config rm --path environment.{name}" in mistake


def test_without_users_another_way_to_log_in_may_be_set() -> None:
    further = {"REGISTRY_AUTH_TOKEN_REALM": "https://auth.example.com/token"}
    settings = Settings(hostname="registry.example.com", users=[], anonymous_push=True, environment=further)
    assert environment_mistakes(settings) == []
