"""Serves the provider to the engine over gRPC, with errors as the user is to see them."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import metadata
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.aws_plugin.errors import InitializationError, message_of
from sandbox.aws_plugin.provider import AwsProvider

VERSION = metadata.version("pulumi-aws")
"""The release of pulumi-aws that this stands in for: that of the SDK."""


class PlainErrors(grpc.aio.ServerInterceptor):
    """Gives the engine a failure's message; pulumi's own servicer would give it a Python traceback."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the method that `continuation` finds."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def method(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                return await handler.unary_unary(request, context)
            except NotImplementedError as error:
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
            except Exception as error:
                # The servicer raises a new exception in place of the provider's, which stays its context.
                await abort(context, error.__context__ or error)

        return grpc.unary_unary_rpc_method_handler(method, handler.request_deserializer, handler.response_serializer)


async def abort(context: grpc.aio.ServicerContext, error: BaseException) -> None:
    """End the call with `error`; an InitializationError tells the engine which resource exists nevertheless."""
    message = f"1 error occurred:\n\t* {message_of(error)}"  # the real provider's form
    if not isinstance(error, InitializationError):
        await context.abort(grpc.StatusCode.UNKNOWN, message)
        return
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=error.resource_id,
            reasons=[message_of(error)],
            properties=PropertyValue.marshal_map(error.outputs),
            inputs=PropertyValue.marshal_map(error.inputs),
        )
    )
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=message, details=[detail])
    await context.abort(code, message, (("grpc-status-details-bin", status.SerializeToString()),))


class Servicer(ProviderServicer):
    """The SDK's, that tells the engine of a resource which is gone as the providers in Go do: by nothing at all.

    An empty state, which the SDK's makes of it, is one of a resource that exists.
    """

    async def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:  # noqa: N802 (the protocol's name)
        """What the resource is now."""
        response = await super().Read(request, context)
        return response if response.id else provider_pb2.ReadResponse()


async def serve(engine_address: str) -> None:
    """Serve on a free loopback port, which is printed, until the engine ends."""
    server = grpc.aio.server(interceptors=[PlainErrors()], options=_GRPC_CHANNEL_OPTIONS)
    provider = AwsProvider()
    servicer = Servicer(sys.argv[1:], VERSION, provider, engine_address=engine_address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    engine = os.getppid()
    while os.getppid() == engine:  # an engine that was killed leaves its plugins to themselves
        await asyncio.sleep(1)
    await provider.cancel()  # or what waits would keep the process
    await server.stop(grace=None)


def main() -> None:
    """Run the plugin; the engine gives its own address as the first argument that is no flag."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not addresses:
        sys.exit("pulumi-resource-aws: the address of a Pulumi engine is missing; the engine starts this program")
    asyncio.run(serve(addresses[0]))
