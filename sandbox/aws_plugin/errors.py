"""What goes wrong, in the words of the real provider: operation, status, code and message of AWS's answer."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws_plugin.values import PropertyValue, leaves, plain

_SHORTEST_SECRET = 4
"""Characters; a shorter secret would black out whole messages and is none."""


class PluginError(Exception):
    """A failure whose message is for the user as it is."""


class GoneError(Exception):
    """What was to be read no longer exists."""


class InitializationError(PluginError):
    """A resource was created (or changed), but not all of it: the engine is to keep it in its state.

    `resource_id`: its id. `inputs`, `outputs`: what is known of it. `str(error)`: what failed.
    """

    def __init__(
        self,
        reason: str,
        resource_id: str,
        inputs: Mapping[str, PropertyValue],
        outputs: Mapping[str, PropertyValue],
    ) -> None:
        """See the class."""
        super().__init__(reason)
        self.resource_id = resource_id
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)


def message_of(error: BaseException) -> str:
    """What the user is told of `error`: its message; of a mistake in this package also its place, but no traceback."""
    if isinstance(error, PluginError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    return f"a mistake in the sandbox's stand-in for pulumi-aws: {type(error).__name__} at {where}: {error}"


def code_of(error: ClientError) -> str:
    """AWS's error code (`NoSuchBucket`), or the HTTP status where an answer without body gives no code (`404`)."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def doing(what: str, service: str) -> Iterator[None]:
    """Within, a failing AWS call raises PluginError: `what` was being done ("deleting S3 Bucket (x)"), AWS's answer.

    `service` is the service's name in the AWS SDKs ("S3", "Route 53").
    """
    try:
        yield
    except ClientError as error:
        answer = error.response.get("ResponseMetadata", {})
        detail = error.response.get("Error", {})
        raise PluginError(
            f"{what}: operation error {service}: {error.operation_name}, https response error "
            f"StatusCode: {answer.get('HTTPStatusCode', '?')}, RequestID: {answer.get('RequestId', '')}, "
            f"api error {detail.get('Code', 'UnknownError')}: {detail.get('Message', '')}"
        ) from error
    except BotoCoreError as error:
        raise PluginError(f"{what}: operation error {service}: {error}") from error


@contextmanager
def accepting(*codes: str) -> Iterator[None]:
    """Within, an AWS error with one of `codes` ends the block and is no failure: what was asked for is so already."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise


@contextmanager
def gone_on(*codes: str) -> Iterator[None]:
    """Within, an AWS error with one of `codes` raises GoneError."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in codes:
            raise GoneError from error
        raise


def redact(message: str, *properties: Mapping[str, PropertyValue]) -> str:
    """`message` with every secret text found in `properties` replaced by `[secret]`."""
    for values in properties:
        for value in values.values():
            for secret in _secret_texts(value):
                message = message.replace(secret, "[secret]")
    return message


def _secret_texts(value: PropertyValue) -> Iterator[str]:
    """The texts in `value` that are marked secret and long enough to be one."""
    if value.is_secret:
        texts: Iterator[Any] = leaves(plain(value))
        yield from (text for text in texts if isinstance(text, str) and len(text) >= _SHORTEST_SECRET)
    elif isinstance(value.value, Mapping):
        for item in value.value.values():
            yield from _secret_texts(item)
    elif isinstance(value.value, tuple):
        for item in value.value:
            yield from _secret_texts(item)
