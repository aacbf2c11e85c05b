"""Whom the registry's role trusts: the EKS cluster, or the OIDC provider, that says which pods are the registry's."""

from __future__ import annotations

from dataclasses import dataclass

from registry import aws_reads
from registry.aws_answers import EksCluster, Failure, OidcProvider
from registry.mistakes import REASON_LENGTH
from registry.policies import STS_AUDIENCE
from registry.settings import Settings, told


@dataclass(frozen=True)
class Found:
    """The ARN of whom the role trusts, empty for a user and where it is not known; what is wrong; and of which setting
    AWS said what, where it gave no answer."""

    arn: str = ""
    mistake: str | None = None
    setting: str = ""
    failure: Failure | None = None


def find(settings: Settings) -> Found:
    """Ask AWS for what `identity`, `cluster` and `oidcProviderArn` name."""
    if settings.identity == "user":
        return Found()
    if settings.identity == "irsa" and settings.oidc_provider_arn:
        provider = aws_reads.oidc_provider(arn=settings.oidc_provider_arn)
        return _found(
            settings.oidc_provider_arn, "oidcProviderArn", provider, given_provider_mistake(settings, provider)
        )
    cluster = aws_reads.eks_cluster(settings.cluster)
    if isinstance(cluster, Failure):
        return _found("", "cluster", cluster, absent_cluster_mistake(settings, cluster))
    if settings.identity == "podIdentity":
        return Found(cluster.arn, address_mistake(cluster))
    provider = aws_reads.oidc_provider(issuer=cluster.issuer)
    arn = "" if isinstance(provider, Failure) else provider.arn
    return _found(arn, "cluster", provider, clusters_provider_mistake(settings, provider))


def _found(arn: str, setting: str, answer: object, mistake: str | None) -> Found:
    return Found(arn, mistake, setting, answer if isinstance(answer, Failure) else None)


def absent_cluster_mistake(settings: Settings, answer: Failure) -> str | None:
    """What is wrong if AWS tells nothing of the EKS cluster; None if it is no mistake of the setting's."""
    if answer.kind == "missing":
        rule = "be an EKS cluster of this AWS account and region, and there is none of that name"
        remedy = "take the name from aws eks list-clusters: pulumi config set cluster NAME"
    elif answer.kind == "denied":
        rule = f"be looked up, which AWS denies: {answer.reason[:REASON_LENGTH]}"
        remedy = "have the right eks:DescribeCluster"
        if settings.identity == "irsa":
            remedy += ", or say whom the role trusts: pulumi config set oidcProviderArn ARN"
    else:
        return None
    return told("cluster", settings.cluster, rule, remedy)


def address_mistake(cluster: EksCluster) -> str | None:
    """What is wrong if pods cannot reach the Pod Identity Agent by the address that they are told."""
    if cluster.ip_family == "ipv4":
        return None
    rule = "not be podIdentity on a cluster of IPv6, where its agent has another address than pods are told here"
    return told("identity", "podIdentity", rule, "pulumi config set identity irsa")


def clusters_provider_mistake(settings: Settings, answer: OidcProvider | Failure) -> str | None:
    """What is wrong with the OIDC provider of the cluster's issuer; None if it is no mistake of the setting's."""
    name = settings.cluster
    match answer:
        case OidcProvider():
            return _audience_mistake("cluster", name, answer)
        case Failure("denied", reason):
            rule = f"lead to the cluster's OIDC provider in IAM, which AWS does not show: {reason[:REASON_LENGTH]}"
            remedy = "say whom the role trusts: pulumi config set oidcProviderArn ARN"
        case Failure("missing"):
            rule = "have an OIDC provider in IAM, which EKS does not make, and it has none"
            remedy = (
                f"eksctl utils associate-iam-oidc-provider --cluster {name} --approve; "
                "or pulumi config set identity podIdentity"
            )
        case Failure():
            return None
    return told("cluster", name, rule, remedy)


def given_provider_mistake(settings: Settings, answer: OidcProvider | Failure) -> str | None:
    """What is wrong with the OIDC provider that the settings give; whoever may not look at it may use it all the
    same."""
    arn = settings.oidc_provider_arn
    if isinstance(answer, OidcProvider):
        return _audience_mistake("oidcProviderArn", arn, answer)
    if answer.kind != "missing":
        return None
    rule = "be an OIDC provider in IAM of this AWS account, and there is none with this ARN"
    return told("oidcProviderArn", arn, rule, "take it from aws iam list-open-id-connect-providers")


def _audience_mistake(setting: str, value: str, provider: OidcProvider) -> str | None:
    if STS_AUDIENCE in provider.audiences:
        return None
    rule = f"be, or have, an OIDC provider in IAM that takes tokens for {STS_AUDIENCE}"
    remedy = (
        f"aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {provider.arn} "
        f"--client-id {STS_AUDIENCE}"
    )
    return told(setting, value, rule, remedy)
