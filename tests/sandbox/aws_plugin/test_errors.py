"""The stand-in for pulumi-aws: what the user is told when something goes wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.aws_plugin.errors import PluginError
from sandbox.aws_plugin.server import PlainErrors, Servicer
from sandbox.aws_plugin.values import plain, wrap, wrap_map
from tests.sandbox.aws_plugin.driver import BUCKET, POLICY, USER, USER_POLICY, Engine, PluginTest, Values, run, urn

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws


async def _failure(method: str, engine: Engine, of: str, properties: Values) -> tuple[bytes, str]:
    """The details and the message of the gRPC error with which the served plugin answers `method`."""
    server = grpc.aio.server(interceptors=[PlainErrors()])
    servicer = ProviderServicer([], "0.0.0", engine.provider, engine_address="")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    requests = {
        "Create": provider_pb2.CreateRequest(urn=of, properties=PropertyValue.marshal_map(dict(properties))),
        "Check": provider_pb2.CheckRequest(urn=of, news=PropertyValue.marshal_map(dict(properties))),
    }
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = getattr(provider_pb2_grpc.ResourceProviderStub(channel), method)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(requests[method])
    finally:
        await server.stop(None)
    details = dict(raised.value.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    return details, raised.value.details() or ""


class TestErrors(PluginTest):
    def test_a_resource_that_is_gone_is_told_without_a_state(self, engine: Engine, aws: EmulatedAws) -> None:
        """An empty state would be that of a resource which exists."""
        servicer = Servicer([], "0.0.0", engine.provider, engine_address="")
        for bucket, is_there in (aws.new_bucket(), True), ("no-such-bucket", False):
            request = provider_pb2.ReadRequest(id=bucket, urn=urn(BUCKET, "res"))
            answer = run(servicer.Read(request, None))
            assert (answer.id, answer.HasField("properties")) == (bucket if is_there else "", is_there)

    def test_are_messages_without_a_traceback(self, engine: Engine) -> None:
        properties = engine.check(USER_POLICY, "res", {"user": "nobody", "policy": POLICY})
        _, message = asyncio.run(_failure("Create", engine, urn(USER_POLICY, "res"), properties))
        assert message.startswith("1 error occurred:\n\t* putting IAM User Policy (nobody:res-")
        assert "operation error IAM: PutUserPolicy, https response error StatusCode: 404" in message
        assert "api error NoSuchEntity" in message
        assert ".py" not in message

    def test_hold_no_secret(self, engine: Engine) -> None:
        properties = engine.check(USER_POLICY, "res", {"user": wrap("hidden-user", secret=True), "policy": POLICY})
        _, message = asyncio.run(_failure("Create", engine, urn(USER_POLICY, "res"), properties))
        assert "hidden-user" not in message
        assert "[secret]" in message

    def test_of_a_missing_permission_name_code_and_operation(
        self, aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        powerless = aws.new_user()
        engine = Engine(accessKey=powerless.id, secretKey=powerless.secret)
        with pytest.raises(PluginError, match=r"operation error S3: CreateBucket, .* 403, .* api error AccessDenied"):
            engine.create(BUCKET)

    def test_without_an_endpoint_no_aws_is_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = Engine()
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        with pytest.raises(PluginError, match="AWS_ENDPOINT_URL is not set"):
            engine.create(BUCKET)

    def test_without_a_region_the_remedy_is_told(self) -> None:
        with pytest.raises(PluginError, match="pulumi config set aws:region"):
            Engine(region="").create(USER)

    def test_an_unreachable_endpoint_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = Engine()
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(PluginError, match=r"creating IAM User .*Could not connect .*http://127.0.0.1:9"):
            engine.create(USER)

    def test_an_unknown_provider_setting_is_refused(self, engine: Engine) -> None:
        request = protocol.CheckRequest(
            urn("pulumi:providers:aws", "p"), {}, wrap_map({"forbiddenAccountIds": "[]"}), b""
        )
        failures = run(engine.provider.check_config(request)).failures
        assert failures
        assert "'forbiddenAccountIds': the sandbox's stand-in does not implement it" in failures[0].reason

    def test_another_region_replaces_what_the_provider_made(self, engine: Engine) -> None:
        old, new = wrap_map({"region": "us-east-1"}), wrap_map({"region": "eu-west-1"})
        request = protocol.DiffRequest(urn("pulumi:providers:aws", "p"), "id", old, new, [])
        assert run(engine.provider.diff_config(request)).replaces == ["region"]

    def test_of_a_half_made_resource_tell_the_engine_what_was_made(self, engine: Engine) -> None:
        inputs = dict(engine.check(BUCKET, "res", {"tags": {"aws:reserved": "x"}}))
        error, _ = asyncio.run(_failure("Create", engine, urn(BUCKET, "res"), inputs))
        detail = provider_pb2.ErrorResourceInitFailed()
        assert status_pb2.Status.FromString(error).details[0].Unpack(detail)
        assert detail.id == plain(inputs["bucket"])
        assert PropertyValue.unmarshal_map(detail.inputs) == inputs
        assert "setting S3 Bucket" in detail.reasons[0]
