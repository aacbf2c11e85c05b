"""The names of IAM actions of S3."""

from __future__ import annotations

S3_ACTIONS = {
    "BUCKET": {
        "HEAD": {"DEFAULT": "ListBucket"},
        "GET": {
            "encryption": "GetEncryptionConfiguration",
            "object-lock": "GetBucketObjectLockConfiguration",
            "ownershipControls": "GetBucketOwnershipControls",
            "publicAccessBlock": "GetBucketPublicAccessBlock",
            "replication": "GetReplicationConfiguration",
        },
        "PUT": {
            "encryption": "PutEncryptionConfiguration",
            "object-lock": "PutBucketObjectLockConfiguration",
            "ownershipControls": "PutBucketOwnershipControls",
            "publicAccessBlock": "PutBucketPublicAccessBlock",
            "replication": "PutReplicationConfiguration",
        },
        "DELETE": {
            "encryption": "PutEncryptionConfiguration",
            "ownershipControls": "PutBucketOwnershipControls",
            "publicAccessBlock": "PutBucketPublicAccessBlock",
            "replication": "PutReplicationConfiguration",
        },
    },
    "KEY": {
        "HEAD": {"versionId": "GetObjectVersion"},
        "GET": {"attributes": "GetObjectAttributes"},
        "DELETE": {"tagging": "DeleteObjectTagging"},
    },
}
"""IAM actions of S3 requests that moto has wrong or lacks (it calls HEAD of a bucket `s3:HeadBucket`, which does not
exist, and PUT of a bucket's encryption `s3:CreateBucket`): kind, method, query parameter.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""
