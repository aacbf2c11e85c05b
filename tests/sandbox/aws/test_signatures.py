from __future__ import annotations

import datetime
import json
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
import requests
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.sandbox.aws.emulated_aws import EmulatedAws, Key
from tests.waiting import PATIENCE_SECONDS

CONTENT = b"a blob"
NAME = "docker/registry v2/a+b:ü"


@pytest.fixture
def bucket(aws: EmulatedAws) -> str:
    name = aws.new_bucket()
    aws.client("s3").put_object(Bucket=name, Key=NAME, Body=CONTENT)
    return name


def presigned(
    aws: EmulatedAws,
    bucket: str,
    operation: str = "get_object",
    expires: int = 60,
    key: Key | None = None,
    **extra: Any,
) -> str:
    parameters = {"Bucket": bucket, "Key": NAME, **extra}
    return aws.client("s3", key).generate_presigned_url(operation, Params=parameters, ExpiresIn=expires)


def send(method: str, url: str, **arguments: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=PATIENCE_SECONDS, **arguments)


def error_code(response: requests.Response) -> str:
    return response.text.partition("<Code>")[2].partition("</Code>")[0]


def test_a_presigned_url_reads_its_object_without_credentials(aws: EmulatedAws, bucket: str) -> None:
    response = send("GET", presigned(aws, bucket))
    assert (response.status_code, response.content) == (200, CONTENT)


def test_a_presigned_urls_other_parameters_are_honoured(aws: EmulatedAws, bucket: str) -> None:
    response = send("GET", presigned(aws, bucket, ResponseContentType="text/x-blob"))
    assert response.headers["Content-Type"] == "text/x-blob"


def test_a_range_of_a_presigned_url_can_be_read(aws: EmulatedAws, bucket: str) -> None:
    response = send("GET", presigned(aws, bucket), headers={"Range": "bytes=2-5"})
    assert (response.status_code, response.content) == (206, CONTENT[2:6])


def test_a_presigned_url_works_over_tls_too(aws: EmulatedAws, bucket: str) -> None:
    url = aws.client("s3", tls=True).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": NAME})
    assert url.startswith("https://")
    assert send("GET", url, verify=str(aws.authority_certificate)).content == CONTENT


def test_a_presigned_url_writes_its_object(aws: EmulatedAws, bucket: str) -> None:
    assert send("PUT", presigned(aws, bucket, "put_object"), data=b"new").status_code == 200
    assert aws.client("s3").get_object(Bucket=bucket, Key=NAME)["Body"].read() == b"new"


def test_a_presigned_url_is_for_its_method_only(aws: EmulatedAws, bucket: str) -> None:
    url = presigned(aws, bucket)
    assert send("HEAD", presigned(aws, bucket, "head_object")).status_code == 200
    assert send("HEAD", url).status_code == 403
    assert error_code(send("DELETE", url)) == "SignatureDoesNotMatch"
    assert aws.client("s3").get_object(Bucket=bucket, Key=NAME)["Body"].read() == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url[:-4] + ("0000" if not url.endswith("0000") else "1111"),
        lambda url: url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        lambda url: url.replace("docker", "locker"),
        lambda url: url + "&response-content-type=text/html",
    ],
    ids=["signature", "expiry", "path", "parameter"],
)
def test_a_changed_presigned_url_is_refused(aws: EmulatedAws, bucket: str, change: Any) -> None:
    url = presigned(aws, bucket)
    assert change(url) != url
    response = send("GET", change(url))
    assert (response.status_code, error_code(response)) == (403, "SignatureDoesNotMatch")


def test_an_expired_presigned_url_is_refused(aws: EmulatedAws, bucket: str) -> None:
    signed = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(seconds=62)
    with mock.patch("botocore.auth.get_current_datetime", return_value=signed):
        url = presigned(aws, bucket, expires=60)
        still_good = presigned(aws, bucket, expires=120)
    response = send("GET", url)
    assert (response.status_code, error_code(response)) == (403, "AccessDenied")
    assert "Request has expired" in response.text
    assert send("GET", still_good).status_code == 200


@pytest.mark.parametrize("expires", [0, 7 * 24 * 3600 + 1])
def test_a_presigned_url_lasts_from_a_second_to_a_week(aws: EmulatedAws, bucket: str, expires: int) -> None:
    response = send("GET", presigned(aws, bucket, expires=expires))
    assert (response.status_code, error_code(response)) == (400, "AuthorizationQueryParametersError")


def test_a_presigned_url_of_an_unknown_or_deleted_key_is_refused(aws: EmulatedAws, bucket: str) -> None:
    key = aws.new_user({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    url = presigned(aws, bucket, key=key)
    assert send("GET", url).status_code == 200
    aws.client("iam").delete_access_key(UserName=key.user, AccessKeyId=key.id)
    response = send("GET", url)
    assert (response.status_code, error_code(response)) == (403, "InvalidAccessKeyId")


def test_a_presigned_url_may_do_what_its_signer_may(aws: EmulatedAws, bucket: str) -> None:
    reader = aws.new_user({"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"})
    assert send("GET", presigned(aws, bucket, key=reader)).status_code == 200
    response = send("PUT", presigned(aws, bucket, "put_object", key=reader), data=b"new")
    assert (response.status_code, error_code(response)) == (403, "AccessDenied")


def test_a_bucket_policy_holds_for_presigned_urls(aws: EmulatedAws, bucket: str) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    statement = deny | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    plain = send("GET", presigned(aws, bucket))
    assert (plain.status_code, error_code(plain)) == (403, "AccessDenied")
    url = aws.client("s3", tls=True).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": NAME})
    assert send("GET", url, verify=str(aws.authority_certificate)).content == CONTENT


def test_headers_signed_into_a_presigned_url_must_be_sent(aws: EmulatedAws, bucket: str) -> None:
    url = presigned(aws, bucket, "put_object", ContentType="text/plain")
    assert "content-type" in urlsplit(url).query
    assert send("PUT", url, data=b"new", headers={"Content-Type": "text/plain"}).status_code == 200
    assert send("PUT", url, data=b"new", headers={"Content-Type": "text/html"}).status_code == 403


def test_query_signatures_of_other_services_are_refused(aws: EmulatedAws) -> None:
    request = AWSRequest("GET", aws.url + "/?Action=GetCallerIdentity&Version=2011-06-15")
    key = aws.administrator
    S3SigV4QueryAuth(Credentials(key.id, key.secret), "sts", "us-east-1").add_auth(request)
    assert send("GET", str(request.url)).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_request_without_a_signature_is_denied(aws: EmulatedAws, bucket: str, method: str) -> None:
    for path in ("", f"/{bucket}", f"/{bucket}/{quote(NAME)}"):
        response = send(method, aws.url + path)
        assert response.status_code == 403
        if method != "HEAD":
            assert error_code(response) == "AccessDenied"


def test_a_query_services_refusal_is_in_its_own_form(aws: EmulatedAws) -> None:
    response = send("POST", aws.url, data={"Action": "ListUsers", "Version": "2010-05-08"})
    assert response.status_code == 403
    assert response.text.startswith("<ErrorResponse><Error>")


@pytest.mark.parametrize(
    "authorization", ["Basic dXNlcjpwYXNz", "AWS AKIA:c2ln", "AWS4-HMAC-SHA256 Credential=AKIA", "AWS4-HMAC-SHA256"]
)
def test_an_authorization_that_is_no_signature_version_4_is_refused(aws: EmulatedAws, authorization: str) -> None:
    response = send("GET", aws.url, headers={"Authorization": authorization})
    assert (response.status_code, error_code(response)) == (400, "AuthorizationHeaderMalformed")


def test_motos_own_interface_is_closed(aws: EmulatedAws) -> None:
    for path in ("/moto-api/data.json", "/moto-api/reset", "//moto-api/reset"):
        assert send("POST", aws.url + path).status_code == 403
    assert aws.client("iam").list_users()["Users"]


@pytest.mark.parametrize("query", ["prefix=a%2Fb&uploads=", "uploads=&prefix=a%2Bb%20c~%3A"])
def test_a_signed_query_may_hold_encoded_slashes_and_signs(aws: EmulatedAws, bucket: str, query: str) -> None:
    url = f"{aws.url}/{bucket}?{query}"
    request = AWSRequest("GET", url)
    S3SigV4Auth(Credentials(aws.administrator.id, aws.administrator.secret), "s3", "us-east-1").add_auth(request)
    response = send("GET", url, headers=dict(request.headers))
    assert (response.status_code, "ListMultipartUploadsResult" in response.text) == (200, True)
