"""A private container registry on Kubernetes on AWS: settings in, components in the order of the data, outputs out."""

import pulumi

from registry import network_policies
from registry.credentials import Credentials
from registry.endpoint import Endpoint
from registry.environment import memory_limit, registry_environment, s3_port
from registry.identity import Identity
from registry.load_balancer.readiness_gates import has_pods_as_targets
from registry.ownership import Ownership
from registry.pulumi_version import require_supported_pulumi
from registry.settings import Settings
from registry.storage import Storage
from registry.surroundings import Surroundings
from registry.workload import SERVICE_ACCOUNT, Workload

require_supported_pulumi()
settings = Settings.load(pulumi.Config())
tags = settings.all_tags(project=pulumi.get_project(), stack=pulumi.get_stack())

policies = network_policies.specs(settings)
ownership = Ownership("registry", namespace=settings.namespace, network_policies=policies)
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
    settings=settings,
    service_account=SERVICE_ACCOUNT,
    trusted_arn=surroundings.trusted_arn,
    bucket_arn=storage.bucket_arn,
    tags=tags,
)
credentials = Credentials(
    "registry",
    hostnames=settings.all_hostnames,
    users=surroundings.users,
    primary_user=settings.primary_user,
    rotation=settings.rotation,
)
workload = Workload(
    "registry",
    namespace=settings.namespace,
    controller=settings.controller,
    replicas=settings.replicas,
    image=settings.image,
    environment=registry_environment(settings, bucket=storage.bucket_name, region=storage.region),
    s3_port=s3_port(settings.bucket.endpoint),
    memory_limit=memory_limit(settings.chunk_size),
    are_targets=has_pods_as_targets(surroundings.kind, settings),
    policies=policies,
    ownership=ownership,
    image_pull_secrets=settings.image_pull_secrets,
    pod_annotations=settings.pod_annotations,
    identity=identity,
    needs=[*storage.check, *identity.ready],
    http_secret=credentials.http_secret,
    htpasswd=credentials.htpasswd if settings.users else None,
)
endpoint = Endpoint(
    "registry",
    hostnames=settings.all_hostnames,
    namespace=settings.namespace,
    tls=settings.tls,
    kind=surroundings.kind,
    load_balancer=settings.load_balancer,
    access_logs=settings.access_logs,
    zone_id=surroundings.zone_id,
    zone_provider=surroundings.zone_provider,
    adopted_records=surroundings.adopted_records,
    ownership=ownership,
    workload=workload,
    tags=tags,
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
