"""The registry's environment, from settings alone."""

from __future__ import annotations

import yaml

from registry.environment import SECRET_VARIABLES, registry_environment
from registry.settings import BucketSettings, Settings

SETTINGS = Settings(hostname="registry.example.com")


def test_the_posts_variables_are_set_to_the_values_that_work() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert (
        variables.items()
        >= {
            "REGISTRY_HTTP_ADDR": ":5000",
            "REGISTRY_STORAGE": "s3",
            "REGISTRY_STORAGE_S3_REGION": "eu-central-1",
            "REGISTRY_STORAGE_S3_BUCKET": "images",
            "REGISTRY_STORAGE_S3_ENCRYPT": "true",
            "REGISTRY_STORAGE_S3_SECURE": "true",
            "REGISTRY_STORAGE_S3_V4AUTH": "true",
            "REGISTRY_STORAGE_S3_CHUNKSIZE": "5242880",
        }.items()
    )


def test_the_three_secrets_of_the_post_come_from_elsewhere() -> None:
    assert set(SECRET_VARIABLES) == {
        "REGISTRY_STORAGE_S3_ACCESSKEY",
        "REGISTRY_STORAGE_S3_SECRETKEY",
        "REGISTRY_HTTP_SECRET",
    }
    assert not set(SECRET_VARIABLES) & set(registry_environment(SETTINGS, bucket="images", region="eu-central-1"))


def test_another_endpoint_is_addressed_by_path() -> None:
    settings = SETTINGS.model_copy(update={"bucket": BucketSettings(endpoint="https://s3.example.com")})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_S3_REGIONENDPOINT"] == "https://s3.example.com"
    assert variables["REGISTRY_STORAGE_S3_FORCEPATHSTYLE"] == "true"


def test_aws_is_left_to_the_driver_without_an_endpoint() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    assert not {name for name in variables if name.endswith(("REGIONENDPOINT", "FORCEPATHSTYLE"))}


def test_the_chunk_size_is_in_bytes() -> None:
    settings = SETTINGS.model_copy(update={"chunk_size": 33554432})
    variables = registry_environment(settings, bucket="images", region="eu-central-1")
    assert variables["REGISTRY_STORAGE_S3_CHUNKSIZE"] == "33554432"


def test_every_value_means_as_yaml_what_it_says_as_text() -> None:
    variables = registry_environment(SETTINGS, bucket="images", region="eu-central-1")
    for name, value in variables.items():
        assert str(yaml.safe_load(value)).lower() == value, name
