"""Who the registry is to AWS is changed on a living stack, under a client that pulls and pushes all the time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pulumi import automation

from tests.end_to_end.changing import Note, client, pulling, pushing
from tests.end_to_end.identities import AS_ON_AWS, HELD, IDENTITIES, held, pods_of
from tests.end_to_end.registry_stack import RegistryStack
from tests.end_to_end.setting_changes import BASE

pytestmark = pytest.mark.changes


def test_one_stack_goes_from_a_user_to_each_role_and_back(stack: RegistryStack, note: Note) -> None:
    """While it is a role there is no user and no key; of each former identity nothing is left."""
    base = BASE | AS_ON_AWS
    stack.up(**base)
    assert held(stack) == HELD["user"]
    former, former_pods = stack.access_key(), pods_of(stack)
    for identity in ("irsa", "pod-identity", "user"):
        user = client(stack)
        digest = user.push("steady", "1", f"before it is {identity}".encode())
        with pulling(user) as pulls, pushing(user) as pushes:
            stack.up(**base, **IDENTITIES[identity])
        note("identity, on one stack", f"to {identity}", pulls, pushes)
        assert (pulls.failures, pushes.failures) == ([], [])
        assert (pulls.count > 1, pushes.count > 1) == (True, True)
        assert held(stack) == HELD[identity]
        pods = pods_of(stack)
        assert not pods & former_pods
        former_pods = pods
        assert stack.preview(**base, **IDENTITIES[identity]) == {}
        assert user.pull("steady", "1") == digest
    assert stack.access_key() != former


@pytest.mark.parametrize("former", ["user", "irsa"])
def test_a_role_that_does_not_trust_the_cluster_fails_the_update_and_the_former_pods_serve_on(
    stack: RegistryStack, note: Note, former: str
) -> None:
    """It is an update in the middle of which everything is still there, and which the next one ends."""
    iam = stack.sandbox.aws("iam")
    url = "https://oidc.eks.us-east-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
    stranger = iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])
    provider = stranger["OpenIDConnectProviderArn"]
    base = BASE | AS_ON_AWS
    stack.up(**base, **IDENTITIES[former])
    user = client(stack)
    digest = user.push("steady", "1", b"of before")
    with pulling(user) as pulls, pushing(user) as pushes:
        with pytest.raises(automation.CommandError):
            stack.up(**base, identity="irsa", oidcProviderArn=provider)
        said = stack.output
        assert held(stack) == replace(HELD[former], roles=HELD[former].roles + 1)
        stack.up(**base, **IDENTITIES["irsa"])
    note("identity", f"{former} to a role that trusts another cluster, then this one", pulls, pushes)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert "new pods don't take part, so pods that ran before serve on" in said
    assert "no credentials: WebIdentityErr" in said
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in said
    assert (pulls.failures, pushes.failures) == ([], [])
    assert held(stack) == HELD["irsa"]
    assert user.pull("steady", "1") == digest
    stack.up(**base)
