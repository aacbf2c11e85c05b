"""EKS Pod Identity: associations of ServiceAccounts with roles, and the credentials for pods; moto has neither."""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from flask import request as current_request
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.utils import utcnow
from moto.eks import urls
from moto.eks.models import CLUSTER_NOT_FOUND_MSG, Cluster, eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from moto.moto_server import werkzeug_app

from sandbox.aws.clusters import ExpiredError, ServiceAccountToken, TokenError, check_token
from sandbox.aws.iam_policy import Access, may_allow
from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.aws.resources import POD_IDENTITY
from sandbox.aws.role_sessions import begin_session, find_role, trusts

SESSION_SECONDS = 3600
"""How long credentials of pods last: STS's default. EKS documents no duration of its own."""
_LONGEST_NAME = 64
"""Characters of a role session's name."""
_NO_TRUST = "Unauthorized Exception! EKS does not have permissions to assume the associated role."


class _RefusalError(ServiceException):
    """An error of EKS or EKS Auth, answered as the service's own model says."""


@dataclass(frozen=True)
class Association:
    """A ServiceAccount of a cluster, and the role that its pods get credentials of."""

    cluster_name: str
    namespace: str
    service_account: str
    role_arn: str
    association_id: str
    association_arn: str
    disable_session_tags: bool = False
    policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    created_at: datetime = field(default_factory=utcnow)
    modified_at: datetime = field(default_factory=utcnow)


def serve_pod_identity() -> None:
    """Serve what moto lacks: five operations of EKS, their tags, and EKS Auth's only one, AssumeRoleForPodIdentity.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html
    https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
    """
    cluster = "{0}/clusters/(?P<name>[^/]+)"
    urls.url_paths[f"{cluster}/pod-identity-associations$"] = Associations.dispatch
    urls.url_paths[f"{cluster}/pod-identity-associations/(?P<associationId>[^/]+)$"] = Associations.dispatch
    urls.url_paths[f"{cluster}/assume-role-for-pod-identity$"] = Credentials.dispatch
    werkzeug_app.SIGNING_ALIASES["eks-auth"] = "eks"  # both are served by the same application

    @instead_of(EKSResponse, "tag_resource")
    def _(original: Any, self: EKSResponse) -> ActionResult:
        return _with_tags(self, lambda tags: tags.update(self._get_param("tags"))) or original(self)

    @instead_of(EKSResponse, "untag_resource")
    def _(original: Any, self: EKSResponse) -> ActionResult:
        keys = self.querystring.get("tagKeys", [])
        return _with_tags(self, lambda tags: [tags.pop(key, None) for key in keys]) or original(self)


def _with_tags(response: EKSResponse, change: Any) -> ActionResult | None:
    """Change the tags of the association that `response` is about; None if it is about none."""
    arn = response._extract_arn_from_path()
    for cluster in response.eks_backend.clusters.values():
        for association in associations(cluster).values():
            if association.association_arn == arn:
                change(association.tags)
                return EmptyResult()
    return None


def associations(cluster: Cluster) -> dict[str, Association]:
    """Return the associations of `cluster`, by id."""
    return vars(cluster).setdefault("pod_identity_associations", {})


class _OfCluster(BaseResponse):
    """An operation on a cluster. Its parameters are those of the service's own model."""

    def __init__(self, service_name: str) -> None:
        super().__init__(service_name=service_name)
        self.automated_parameter_parsing = True

    @property
    def cluster(self) -> Cluster:
        """The cluster; raises _RefusalError if there is none."""
        name = self._get_param("clusterName")
        found = eks_backends[self.current_account][self.region].clusters.get(name)
        if not found:
            raise _RefusalError("ResourceNotFoundException", CLUSTER_NOT_FOUND_MSG.format(clusterName=name))
        return found


class Associations(_OfCluster):
    """EKS's operations on associations, by their names in lower case."""

    def __init__(self) -> None:
        """A response to one request, as moto makes them."""
        super().__init__("eks")

    def create_pod_identity_association(self) -> ActionResult:
        """Make an association, of which a ServiceAccount has one at most."""
        cluster, namespace, account = self.cluster, self._get_param("namespace"), self._get_param("serviceAccount")
        for other in associations(cluster).values():
            if (other.namespace, other.service_account) == (namespace, account):
                raise _RefusalError("ResourceInUseException", f"Association already exists: {other.association_id}")
        alphabet = string.ascii_lowercase + string.digits
        identifier = "a-" + "".join(secrets.choice(alphabet) for _ in range(17))
        arn = cluster.arn.replace(":cluster/", ":podidentityassociation/") + f"/{identifier}"
        made = Association(cluster.name, namespace, account, self._get_param("roleArn"), identifier, arn)
        return self._keep(replace(made, tags=dict(self._get_param("tags") or {})))

    def update_pod_identity_association(self) -> ActionResult:
        """Change the role, the policy or the session tags."""
        return self._keep(replace(self._association(), modified_at=utcnow()))

    def describe_pod_identity_association(self) -> ActionResult:
        """Tell all of an association."""
        return ActionResult({"association": self._association()})

    def list_pod_identity_associations(self) -> ActionResult:
        """Tell of all associations, in one page, or of those of a namespace or a ServiceAccount."""
        namespace, account = self._get_param("namespace"), self._get_param("serviceAccount")
        found = [
            one
            for one in associations(self.cluster).values()
            if namespace in {None, one.namespace} and account in {None, one.service_account}
        ]
        return ActionResult({"associations": found})

    def delete_pod_identity_association(self) -> ActionResult:
        """Delete an association. Credentials that were given last on."""
        association = self._association()
        del associations(self.cluster)[association.association_id]
        return ActionResult({"association": association})

    def _association(self) -> Association:
        identifier = self._get_param("associationId")
        found = associations(self.cluster).get(identifier)
        if not found:
            raise _RefusalError("ResourceNotFoundException", f"No association found with id: {identifier}.")
        return found

    def _keep(self, association: Association) -> ActionResult:
        """Keep `association` with what the request gives. Raises _RefusalError if EKS would refuse it."""
        given = {
            "role_arn": self._get_param("roleArn"),
            "disable_session_tags": self._get_param("disableSessionTags"),
            "policy": self._get_param("policy"),
        }
        changed = replace(association, **{name: value for name, value in given.items() if value is not None})
        if self._get_param("targetRoleArn"):
            raise _RefusalError("InvalidParameterException", "The sandbox does not know targetRoleArn: leave it out.")
        if changed.policy and not changed.disable_session_tags:
            message = "disableSessionTags must be true when a policy is specified."
            raise _RefusalError("InvalidParameterException", message)
        if changed.policy:
            _check_policy(changed.policy)
        role = find_role(changed.role_arn)
        if not role or role.account_id != self.current_account:
            raise _RefusalError("InvalidParameterException", "Role provided in the request does not exist.")
        if not _names_the_service(role.assume_role_policy_document):
            raise _RefusalError("InvalidParameterException", "Trust policy of the role provided is invalid")
        associations(self.cluster)[changed.association_id] = changed
        return ActionResult({"association": changed})


class Credentials(_OfCluster):
    """EKS Auth's operation, which the agent on a node calls, with the node's rights, for the pods there."""

    def __init__(self) -> None:
        """A response to one request, as moto makes them."""
        super().__init__("eks-auth")

    def assume_role_for_pod_identity(self) -> ActionResult:
        """Give credentials of the role that is associated with the ServiceAccount of a token."""
        cluster = self.cluster
        token = self._token(cluster)
        account = (token.namespace, token.service_account)
        known = list(associations(cluster).values())
        association = next((one for one in known if (one.namespace, one.service_account) == account), None)
        if not association:
            message = f"No association found for the service account {':'.join(account)} in cluster {cluster.name}."
            raise _RefusalError("ResourceNotFoundException", message)
        role = find_role(association.role_arn)
        if not role or not trusts(role, *_assuming(association, cluster, token)):
            raise _RefusalError("AccessDeniedException", _NO_TRUST)
        number = str(uuid.uuid4())
        name = f"eks-{cluster.name}-{token.pod}"[: _LONGEST_NAME - len(number) - 1] + f"-{number}"
        session = begin_session(role, name, SESSION_SECONDS, self.region, association.policy)
        return ActionResult(
            {
                "subject": {"namespace": token.namespace, "serviceAccount": token.service_account},
                "audience": POD_IDENTITY,
                "podIdentityAssociation": association,
                "assumedRoleUser": {"arn": session.arn, "assumeRoleId": session.user_id},
                "credentials": session,
            }
        )

    def _token(self, cluster: Cluster) -> ServiceAccountToken:
        """The request's token, if `cluster` made it, for this. Raises _RefusalError."""
        try:
            token = check_token(self._get_param("token"))
        except ExpiredError as expired:
            raise _RefusalError("ExpiredTokenException", str(expired)) from None
        except TokenError as error:
            raise _RefusalError("InvalidTokenException", str(error)) from None
        if token.issuer != cluster.identity["oidc"]["issuer"]:
            raise _RefusalError("InvalidTokenException", f"The token's issuer is not that of cluster {cluster.name}.")
        if POD_IDENTITY not in token.audiences:
            raise _RefusalError("InvalidTokenException", f"The token's audience is not {POD_IDENTITY}.")
        return token


def _assuming(association: Association, cluster: Cluster, token: ServiceAccountToken) -> list[Access]:
    """What EKS does with the associated role: assume it, with session tags unless they are disabled.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    tags = {
        "eks-cluster-arn": cluster.arn,
        "eks-cluster-name": cluster.name,
        "kubernetes-namespace": token.namespace,
        "kubernetes-service-account": token.service_account,
        "kubernetes-pod-name": token.pod,
        "kubernetes-pod-uid": token.pod_uid,
    }
    context = {"aws:securetransport": "true" if current_request.is_secure else "false"}
    actions = ["sts:AssumeRole"]
    if not association.disable_session_tags:
        actions.append("sts:TagSession")
        context |= {f"aws:requesttag/{key}": value for key, value in tags.items()}
    account = cluster.arn.split(":")[4]
    return [
        Access(action, association.role_arn, frozenset({POD_IDENTITY}), account, context, "Service")
        for action in actions
    ]


def _check_policy(policy: str) -> None:
    try:
        IAMPolicyDocumentValidator(policy).validate()
    except MalformedPolicyDocument as error:
        raise _RefusalError("InvalidParameterException", error.message) from None


def _names_the_service(trust: str) -> bool:
    """Whether a trust policy lets EKS assume the role under any condition: what EKS looks at beforehand."""
    return may_allow(trust, Access("sts:AssumeRole", "", frozenset({POD_IDENTITY}), "", {}, "Service"))
