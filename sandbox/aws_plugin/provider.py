"""The provider protocol: what the engine asks, answered with the resource types and functions of this package."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue
from typing_extensions import override

from sandbox.aws_plugin import acm, eks, iam, kms, route53, s3, s3_configuration, s3_object
from sandbox.aws_plugin.assume_roles import from_json, problems, roles_to_assume
from sandbox.aws_plugin.errors import GoneError, InitializationError, PluginError, message_of, redact
from sandbox.aws_plugin.functions import FUNCTIONS
from sandbox.aws_plugin.planning import DEFAULTS, complete, existing_outputs, given_inputs, imported, planned
from sandbox.aws_plugin.resource import Resource, choice_problems, differences
from sandbox.aws_plugin.schema import check_properties, function_schema
from sandbox.aws_plugin.session import Aws
from sandbox.aws_plugin.values import Properties, Unknown, plain_map, secret_names, wrap, wrap_map

T = TypeVar("T")
Values = Mapping[str, PropertyValue]

RESOURCES: Final[Mapping[str, type[Resource]]] = {
    resource.pulumi_type: resource
    for resource in (
        acm.Certificate,
        acm.CertificateValidation,
        eks.PodIdentityAssociation,
        iam.AccessKey,
        iam.Role,
        iam.RolePolicy,
        iam.User,
        iam.UserPolicy,
        kms.Key,
        route53.Record,
        s3.Bucket,
        s3_object.BucketObject,
        s3_configuration.BucketPolicy,
        s3_configuration.Lifecycle,
        s3_configuration.Logging,
        s3_configuration.OwnershipControls,
        s3_configuration.PublicAccessBlock,
        s3_configuration.ServerSideEncryption,
        s3_configuration.Versioning,
    )
}

_CONFIGURATION: Final = {"region", "defaultTags", "accessKey", "secretKey", "token", "allowedAccountIds", "assumeRoles"}
_NO_EFFECT: Final = {
    # about real accounts and endpoints; the emulated one needs none of them
    "version", "skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId",
}  # fmt: skip


def _known(values: Values) -> dict[str, Any]:
    return {name: value for name, value in plain_map(values).items() if not isinstance(value, Unknown)}


def resource_type(token: str) -> type[Resource]:
    """The resource type `token`, as a URN has it: behind its parents' types, with `$` between.

    Raises PluginError if there is none.
    """
    token = token.rpartition("$")[2]
    if token not in RESOURCES:
        raise PluginError(
            f"the sandbox's stand-in for pulumi-aws does not implement the resource type {token}; it implements "
            f"{', '.join(sorted(RESOURCES))}"
        )
    return RESOURCES[token]


class AwsProvider(protocol.Provider):
    """pulumi-aws for the resource types in RESOURCES and the functions in FUNCTIONS.

    Its methods are the protocol's; they raise PluginError with a message for the user.
    """

    def __init__(self) -> None:
        """Not configured yet: region and credentials come with `configure`."""
        self.aws = Aws()
        # Waiting for a certificate takes a thread for minutes; the others must go on.
        self._threads = ThreadPoolExecutor(max_workers=32)

    @override
    async def check_config(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        known = _CONFIGURATION | _NO_EFFECT
        failures = [
            protocol.CheckFailure(
                name,
                f"pulumi-aws provider configuration {name!r}: the sandbox's stand-in does not implement it; it takes "
                f"{', '.join(sorted(known))}; endpoints come from AWS_ENDPOINT_URL",
            )
            for name in request.new_inputs
            if name not in known
        ]
        inputs = _known(request.new_inputs)
        roles = from_json(inputs.get("assumeRoles"))
        failures += [protocol.CheckFailure(path, f"pulumi-aws provider: {reason}") for path, reason in problems(roles)]
        # Here, and not in `configure`, the real one asks STS first, unless told to skip it.
        if not failures and roles and from_json(inputs.get("skipCredentialsValidation")) is not True:
            try:
                await self._assume_roles(inputs)
            except PluginError as error:
                reason = f"unable to validate AWS credentials.\nDetails: {error}"
                failures.append(protocol.CheckFailure("", reason))
        return protocol.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff_config(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """Another region makes another provider, and replaces what it made."""
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        replaces = ["region"] if "region" in changed and old.get("region") else []
        return protocol.DiffResponse(changes=bool(changed), diffs=changed, replaces=replaces)

    @override
    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        args = _known(request.args)
        await self._assume_roles(args)
        if allowed := from_json(args.get("allowedAccountIds")):
            account = await self._in_thread(self.aws.account)
            if account not in allowed:
                raise PluginError(f"AWS account ID not allowed: {account}")
        return protocol.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def _assume_roles(self, args: Mapping[str, Any]) -> None:
        """Act by the credentials that the configuration has, and then by its roles. Raises PluginError."""
        keys = {"accessKey": "aws_access_key_id", "secretKey": "aws_secret_access_key", "token": "aws_session_token"}
        tags = from_json(args.get("defaultTags")) or {}
        region = args.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
        credentials = {boto_name: args[name] for name, boto_name in keys.items() if args.get(name)}
        self.aws = Aws(region, tags.get("tags") or {}, credentials)
        for role in roles_to_assume(from_json(args.get("assumeRoles"))):  # one by the other's rights
            await self._in_thread(partial(self.aws.assume, role))

    @override
    async def cancel(self) -> None:
        self.aws.cancelled.set()

    @override
    async def invoke(self, request: protocol.InvokeRequest) -> protocol.InvokeResponse:
        function = FUNCTIONS.get(request.tok)
        if function is None:
            raise PluginError(
                f"the sandbox's stand-in for pulumi-aws does not implement the function {request.tok}; it implements "
                f"{', '.join(sorted(FUNCTIONS))}"
            )
        schema = function_schema(request.tok)
        if unknown := sorted(request.args.keys() - schema.arguments):
            raise PluginError(
                f"{request.tok}: argument {unknown[0]!r} is unknown; known are {', '.join(sorted(schema.arguments))}"
            )
        args = plain_map(request.args)
        return protocol.InvokeResponse(wrap_map(await self._in_thread(lambda: function(self.aws, args))))

    @override
    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        resource = resource_type(request.type)
        subject = f"{request.type} {request.name!r}"
        inputs, problems = complete(resource, request, subject)
        values = given_inputs(inputs)
        problems += check_properties(values, resource.schema(), resource.unsupported, subject)
        problems += choice_problems(resource, values, subject)
        if not problems:  # these look into values, which must be of the right types
            problems += [(path, f"{subject}: {reason}") for path, reason in resource(self.aws).check(values)]
        return protocol.CheckResponse(inputs, [protocol.CheckFailure(*problem) for problem in problems])

    @override
    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        state, inputs = plain_map(request.old_state), given_inputs(request.new_inputs)
        found = differences(self._resource(request.type, state), state, inputs)
        found = {name: kind for name, kind in found.items() if name not in request.ignore_changes}
        kinds = protocol.PropertyDiffKind
        replacing = (kinds.ADD_REPLACE, kinds.DELETE_REPLACE, kinds.UPDATE_REPLACE)
        return protocol.DiffResponse(
            changes=bool(found),
            replaces=[name for name, kind in found.items() if kind in replacing],
            diffs=list(found),
            detailed_diff={name: protocol.PropertyDiff(kind, input_diff=False) for name, kind in found.items()},
        )

    @override
    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        inputs = given_inputs(request.properties)
        resource = self._resource(request.type, inputs, request.timeout)
        secret = secret_names(request.properties) | resource.secret_outputs
        if request.preview:
            return protocol.CreateResponse("", wrap_map(planned(resource, inputs, {}), secret))

        def work() -> tuple[str, Properties]:
            resource_id = resource.create(inputs)
            try:
                resource.configure(resource_id, inputs, {})
                return resource_id, existing_outputs(resource, resource_id, inputs)
            except Exception as error:  # whatever it is, the engine must learn of what was made
                known = wrap_map(resource.half_made(resource_id, inputs), secret)
                raise InitializationError(message_of(error), resource_id, request.properties, known) from error

        resource_id, outputs = await self._in_thread(work, request.properties)
        return protocol.CreateResponse(resource_id, wrap_map(outputs, secret))

    @override
    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        state, old_inputs = plain_map(request.properties), given_inputs(request.inputs)
        resource = self._resource(request.type, state)
        try:
            outputs = await self._in_thread(
                lambda: resource.outputs(request.resource_id, state), request.properties, request.inputs
            )
        except GoneError:
            return protocol.ReadResponse("")
        secret = secret_names(request.properties) | secret_names(request.inputs) | resource.secret_outputs
        if not old_inputs:  # an import: all that would have to be given to make this resource
            inputs = wrap_map(imported(resource, outputs), secret)
        else:
            inputs = dict(request.inputs)
            for name, old in old_inputs.items():
                if resource.normal(name, old, old_inputs) != resource.normal(name, outputs.get(name), outputs):
                    inputs[name] = wrap(outputs.get(name), name in secret)
        inputs.setdefault(DEFAULTS, wrap([]))
        return protocol.ReadResponse(outputs["id"], wrap_map(outputs, secret), inputs)

    @override
    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        state, inputs = plain_map(request.olds), given_inputs(request.news)
        resource = self._resource(request.type, state, request.timeout)
        secret = secret_names(request.news) | resource.secret_outputs
        if request.preview:
            return protocol.UpdateResponse(wrap_map(planned(resource, inputs, state), secret))
        kept = {name: value for name, value in state.items() if name not in resource.schema().inputs}

        def work() -> Properties:
            resource.configure(request.resource_id, inputs, state)
            return existing_outputs(resource, request.resource_id, {**kept, **inputs})

        outputs = await self._in_thread(work, request.olds, request.news)
        return protocol.UpdateResponse(wrap_map(outputs, secret))

    @override
    async def delete(self, request: protocol.DeleteRequest) -> None:
        state = plain_map(request.properties)
        resource = self._resource(request.type, state, request.timeout)
        await self._in_thread(lambda: resource.delete(request.resource_id, state), request.properties)

    def _resource(self, token: str, properties: Properties, timeout: float = 0) -> Resource:
        """The resource type `token` for one call; the region is the one in `properties`."""
        region = properties.get("region")
        return resource_type(token)(self.aws, region if isinstance(region, str) else "", timeout)

    async def _in_thread(self, work: Callable[[], T], *properties: Values) -> T:
        """The result of the blocking `work`; secrets in `properties` are kept out of its errors."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except InitializationError as error:
            reason = redact(str(error), *properties)
            raise InitializationError(reason, error.resource_id, error.inputs, error.outputs) from error
        except PluginError as error:
            raise PluginError(redact(str(error), *properties)) from error
