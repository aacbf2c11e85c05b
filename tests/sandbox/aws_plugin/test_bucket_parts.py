"""The stand-in for pulumi-aws: objects in a bucket, and its access logs."""

from __future__ import annotations

import pytest

from sandbox.aws_plugin.errors import PluginError
from tests.end_to_end.access_logs import logs_policy
from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.aws_plugin.driver import LOGGING, OBJECT, Engine, PluginTest

KEY = "a/b"


class TestObjects(PluginTest):
    def test_an_object_has_its_content_and_is_no_change_as_it_is(
        self, engine: Engine, aws: EmulatedAws, bucket: str
    ) -> None:
        made = engine.create(OBJECT, bucket=bucket, key=KEY, content="x")
        assert (made.id, made.state["arn"]) == (KEY, f"arn:aws:s3:::{bucket}/{KEY}")
        assert aws.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"x"
        assert not engine.diff(made, bucket=bucket, key=KEY, content="x").diffs

    def test_other_content_is_put_in_place_and_another_key_is_another_object(
        self, engine: Engine, aws: EmulatedAws, bucket: str
    ) -> None:
        made = engine.create(OBJECT, bucket=bucket, key=KEY, content="x")
        assert engine.diff(made, bucket=bucket, key="other", content="x").replaces == ["key"]
        updated = engine.update(made, bucket=bucket, key=KEY, content="y")
        assert updated.state["etag"] != made.state["etag"]
        assert aws.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"y"

    @pytest.mark.parametrize("status", ["Suspended", "Enabled"])
    def test_an_object_goes_with_all_its_versions_and_leaves_those_whose_keys_begin_alike(
        self, engine: Engine, aws: EmulatedAws, bucket: str, status: str
    ) -> None:
        s3 = aws.client("s3")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        s3.put_object(Bucket=bucket, Key=f"{KEY}c", Body=b"")
        made = engine.create(OBJECT, bucket=bucket, key=KEY, content="x")
        s3.delete_object(Bucket=bucket, Key=KEY)
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"z")
        engine.delete(made)
        found = s3.list_object_versions(Bucket=bucket)
        assert {one["Key"] for one in found.get("Versions", []) + found.get("DeleteMarkers", [])} == {f"{KEY}c"}

    def test_an_object_that_somebody_deleted_is_gone(self, engine: Engine, aws: EmulatedAws, bucket: str) -> None:
        made = engine.create(OBJECT, bucket=bucket, key=KEY, content="x")
        aws.client("s3").delete_object(Bucket=bucket, Key=KEY)
        assert engine.read(made) is None


class TestLogging(PluginTest):
    def test_access_logs_are_switched_on_moved_and_off_again(
        self, engine: Engine, aws: EmulatedAws, bucket: str
    ) -> None:
        s3, logs = aws.client("s3"), aws.new_bucket()
        with pytest.raises(PluginError, match="InvalidTargetBucketForLogging"):
            engine.create(LOGGING, bucket=bucket, targetBucket=logs, targetPrefix="a/")
        s3.put_bucket_policy(Bucket=logs, Policy=logs_policy(logs))
        made = engine.create(LOGGING, bucket=bucket, targetBucket=logs, targetPrefix="a/")
        assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetBucket"] == logs
        assert not engine.diff(made, bucket=bucket, targetBucket=logs, targetPrefix="a/").diffs
        made = engine.update(made, bucket=bucket, targetBucket=logs, targetPrefix="b/")
        assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetPrefix"] == "b/"
        engine.delete(made)
        assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
        assert engine.read(made) is None
