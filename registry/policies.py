"""IAM policy documents: who may do what to the bucket. It imports no Pulumi."""

from __future__ import annotations

from typing import Any

STS_AUDIENCE = "sts.amazonaws.com"
"""For whom the pods' tokens are made that a role takes:
docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html"""
ENCRYPTION = "s3:x-amz-server-side-encryption"
CUSTOMER_KEY = "s3:x-amz-server-side-encryption-customer-algorithm"
ENCRYPTION_KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"


def registry_policy(bucket_arn: str, *, kms_key_arn: str | None) -> dict[str, Any]:
    """The least that the registry's S3 driver needs on its bucket, and on the bucket's KMS key if it has one.

    What is in the bucket stays under the key that it was written with, so whichever key that is, the bucket's objects
    may be decrypted: S3 names the object, or its bucket, in the encryption context.

    The actions: distribution.github.io/distribution/storage-drivers/s3, section "S3 permission scopes"; on keys:
    docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html (Decrypt is for parts of uploads too).
    """
    statements: list[dict[str, Any]] = [
        {
            "Sid": "Bucket",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
            "Resource": bucket_arn,
        },
        {
            "Sid": "Objects",
            "Effect": "Allow",
            "Action": [
                "s3:PutObject",
                "s3:GetObject",
                "s3:DeleteObject",
                "s3:ListMultipartUploadParts",
                "s3:AbortMultipartUpload",
            ],
            "Resource": f"{bucket_arn}/*",
        },
        {
            "Sid": "ObjectsUnderAnyKey",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {
                "StringLike": {
                    "kms:ViaService": "s3.*.amazonaws.com*",
                    "kms:EncryptionContext:aws:s3:arn": [bucket_arn, f"{bucket_arn}/*"],
                }
            },
        },
    ]
    if kms_key_arn:
        statements.append({"Sid": "Key", "Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": kms_key_arn})
    return {"Version": "2012-10-17", "Statement": statements}


def web_identity_trust_policy(oidc_provider_arn: str, namespace: str, service_account: str) -> dict[str, Any]:
    """Who may take a role by a token of the cluster: one ServiceAccount, with a token that was made for STS.

    docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    issuer = oidc_provider_arn.partition("/")[2]
    return _trust_policy(
        {"Federated": oidc_provider_arn},
        ["sts:AssumeRoleWithWebIdentity"],
        {
            f"{issuer}:aud": STS_AUDIENCE,
            f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
        },
    )


def pod_identity_trust_policy(cluster_arn: str, namespace: str, service_account: str) -> dict[str, Any]:
    """Who may take a role by EKS Pod Identity: one ServiceAccount of one cluster, of which EKS tells by tags.

    docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    return _trust_policy(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": service_account,
        },
    )


def _trust_policy(principal: dict[str, str], actions: list[str], equals: dict[str, str]) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": actions,
        "Condition": {"StringEquals": equals},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def bucket_policy(bucket_arn: str, *, tls_only: bool, kms_key_arn: str | None) -> dict[str, Any]:
    """What the bucket refuses to everyone, administrators too.

    The registry could read no object under a key that comes with each request (SSE-C). An upload that names no
    encryption gets the bucket's own, so under a KMS key only one that names another is refused; one that asks for KMS
    without naming a key would get the account's key `aws/s3`.
    """
    statements: list[dict[str, Any]] = []

    def deny(sid: str, action: str, resource: str | list[str], condition: dict[str, Any]) -> None:
        statement = {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource}
        statements.append(statement | {"Condition": condition})

    deny("CustomerKey", "s3:PutObject", f"{bucket_arn}/*", {"Null": {CUSTOMER_KEY: "false"}})
    if tls_only:
        plain_http = {"Bool": {"aws:SecureTransport": "false"}}
        deny("PlainHttp", "s3:*", [bucket_arn, f"{bucket_arn}/*"], plain_http)
    if kms_key_arn:
        other_encryption = {"Null": {ENCRYPTION: "false"}, "StringNotEquals": {ENCRYPTION: "aws:kms"}}
        deny("OtherEncryption", "s3:PutObject", f"{bucket_arn}/*", other_encryption)
        other_key = {"StringEquals": {ENCRYPTION: "aws:kms"}, "StringNotEquals": {ENCRYPTION_KEY: kms_key_arn}}
        deny("OtherKey", "s3:PutObject", f"{bucket_arn}/*", other_key)
    return {"Version": "2012-10-17", "Statement": statements}
