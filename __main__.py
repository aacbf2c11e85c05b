"""A private container registry on Kubernetes on AWS: settings in, components in the order of the data, outputs out."""

import pulumi

from registry.credentials import Credentials
from registry.endpoint import Endpoint
from registry.identity import Identity
from registry.ownership import Ownership
from registry.pulumi_version import require_supported_pulumi
from registry.settings import Settings
from registry.storage import Storage
from registry.surroundings import Surroundings
from registry.workload import Workload

require_supported_pulumi()
settings = Settings.load(pulumi.Config())
tags = settings.all_tags(project=pulumi.get_project(), stack=pulumi.get_stack())

ownership = Ownership("registry", namespace=settings.namespace, network_policy=settings.network_policy)
surroundings = Surroundings.find(settings, ownership)
storage = Storage(
    "registry",
    settings=settings.bucket,
    bucket_name=surroundings.bucket_name,
    was_versioned=surroundings.was_versioned,
    access_logs=settings.access_logs,
    tags=tags,
)
identity = Identity(
    "registry",
    bucket_arn=storage.bucket_arn,
    kms_key_arn=settings.bucket.kms_key_arn,
    rotation=settings.rotation.access_key,
    tags=tags,
)
credentials = Credentials(
    "registry",
    hostnames=settings.all_hostnames,
    users=settings.users,
    primary_user=settings.primary_user,
    rotation=settings.rotation,
)
workload = Workload(
    "registry",
    settings=settings,
    ownership=ownership,
    bucket_name=storage.bucket_name,
    storage_check_objects=storage.check,
    region=storage.region,
    access_key_id=identity.access_key_id,
    secret_access_key=identity.secret_access_key,
    http_secret=credentials.http_secret,
    htpasswd=credentials.htpasswd,
)
endpoint = Endpoint(
    "registry", settings=settings, ownership=ownership, surroundings=surroundings, workload=workload, tags=tags
)

pulumi.export("hostname", settings.hostname)
pulumi.export("url", endpoint.url)
pulumi.export("bucketName", storage.bucket_name)
pulumi.export("loadBalancerHostname", endpoint.load_balancer_hostname)
pulumi.export("username", credentials.username)
pulumi.export("password", credentials.password)
pulumi.export("passwords", credentials.passwords)
pulumi.export("dockerConfigJson", credentials.docker_config_json)
pulumi.export("loginCommand", credentials.login_command)
pulumi.export("pullSecretCommand", credentials.pull_secret_command)
