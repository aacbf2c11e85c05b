"""boto3 sessions with the rights of an IAM role."""

from __future__ import annotations

from functools import partial
from typing import Any

import boto3
import botocore.session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    RefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError


class _Given(CredentialProvider):
    """The one source of a session's credentials."""

    METHOD = "assume-role"

    def __init__(self, credentials: RefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials


def assumed_role(session: boto3.Session, role_arn: str, arguments: dict[str, Any], **client: Any) -> boto3.Session:
    """A session with the credentials of the role `role_arn`, which `session` assumes now, and again before they end.

    `arguments`: those of STS's AssumeRole beside the role (`RoleSessionName`, `ExternalId`, `DurationSeconds`).
    `client`: arguments of `session.client` for STS, such as `endpoint_url`. Raises ClientError as STS refuses, and
    NoCredentialsError if `session` has no credentials.
    """
    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(partial(session.client, **client), source, role_arn, extra_args=arguments)
    credentials = RefreshableCredentials.create_from_metadata(
        fetcher.fetch_credentials(), fetcher.fetch_credentials, method=_Given.METHOD
    )
    inner = botocore.session.Session()
    inner.register_component("credential_provider", CredentialResolver([_Given(credentials)]))
    return boto3.Session(botocore_session=inner, region_name=session.region_name)
