"""The stand-in for pulumi-aws: associations of pods with roles, and the look-ups of a cluster and its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pulumi.provider.experimental.provider import PropertyDiffKind

from sandbox.aws_plugin.errors import PluginError
from tests.sandbox.aws.service_accounts import SERVICE_ACCOUNT, EksCluster, new_role, policy
from tests.sandbox.aws.test_access_control import allow
from tests.sandbox.aws_plugin.driver import ASSOCIATION, ROLE, TRUST, USER, Engine, PluginTest, unique

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

GET_CLUSTER = "aws:eks/getCluster:getCluster"
GET_PROVIDER = "aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider"


@pytest.fixture(scope="module")
def cluster(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> EksCluster:
    return EksCluster(aws, tmp_path_factory.mktemp("keys"))


class TestPodIdentityAssociation(PluginTest):
    @pytest.fixture
    def inputs(self, aws: EmulatedAws, cluster: EksCluster) -> dict[str, Any]:
        role = new_role(aws, cluster.pod_identity_trust())
        return {
            "clusterName": cluster.name,
            "namespace": unique("namespace"),
            "serviceAccount": SERVICE_ACCOUNT,
            "roleArn": role,
        }

    def test_is_made_as_asked_for_and_then_unchanged(
        self, engine: Engine, aws: EmulatedAws, inputs: dict[str, Any]
    ) -> None:
        made = engine.create(ASSOCIATION, **inputs, tags={"a": "b"})
        identifier = {"clusterName": inputs["clusterName"], "associationId": made.id}
        found = aws.client("eks").describe_pod_identity_association(**identifier)["association"]
        assert {name: found[name] for name in inputs} == inputs
        assert made.state["associationId"] == made.id
        assert made.state["associationArn"] == found["associationArn"]
        assert (made.state["disableSessionTags"], made.state["tagsAll"]) == (False, {"a": "b"})
        assert not engine.diff(made, **inputs, tags={"a": "b"}).changes
        refreshed = engine.read(made)
        assert refreshed is not None
        assert refreshed.state == made.state

    def test_is_known_before_it_is_made_but_for_its_id(self, engine: Engine, inputs: dict[str, Any]) -> None:
        planned = engine.planned(ASSOCIATION, **inputs)
        assert {name: planned[name] for name in inputs} == inputs
        assert repr(planned["associationId"]) == repr(planned["associationArn"]) == "(known after the update)"

    def test_gets_another_role_and_other_tags_in_place(
        self, engine: Engine, aws: EmulatedAws, cluster: EksCluster, inputs: dict[str, Any]
    ) -> None:
        made = engine.create(ASSOCIATION, **inputs, tags={"a": "b", "c": "d"})
        other = {**inputs, "roleArn": new_role(aws, cluster.pod_identity_trust()), "disableSessionTags": True}
        changed = engine.update(made, **other, tags={"c": "e"})
        assert changed.id == made.id
        assert (changed.state["roleArn"], changed.state["tags"]) == (other["roleArn"], {"c": "e"})
        assert changed.state["disableSessionTags"] is True
        narrowed = engine.update(changed, **other, policy=policy(allow("s3:GetObject", "*")))
        assert narrowed.state["policy"] == policy(allow("s3:GetObject", "*"))
        widened = engine.update(narrowed, **other)
        assert "policy" not in widened.state

    @pytest.mark.parametrize("name", ["clusterName", "namespace", "serviceAccount"])
    def test_is_replaced_for_another_pod(self, engine: Engine, inputs: dict[str, Any], name: str) -> None:
        made = engine.create(ASSOCIATION, **inputs)
        found = engine.diff(made, **{**inputs, name: "other"})
        assert (found.replaces, found.diffs) == ([name], [name])
        assert (found.detailed_diff or {})[name].kind == PropertyDiffKind.UPDATE_REPLACE

    def test_is_deleted_once_and_missed_then(self, engine: Engine, inputs: dict[str, Any]) -> None:
        made = engine.create(ASSOCIATION, **inputs)
        engine.delete(made)
        assert engine.read(made) is None
        engine.delete(made)

    def test_is_imported_by_its_clusters_name_and_its_id(self, engine: Engine, inputs: dict[str, Any]) -> None:
        made = engine.create(ASSOCIATION, **inputs)
        found = engine.imported(ASSOCIATION, f"{inputs['clusterName']},{made.id}")
        assert found is not None
        assert (found.id, found.state) == (made.id, made.state)
        assert not engine.diff(found, **inputs).changes

    def test_is_refused_in_awss_words(self, engine: Engine, inputs: dict[str, Any]) -> None:
        missing: dict[str, Any] = {**inputs, "roleArn": f"{inputs['roleArn']}x"}
        with pytest.raises(PluginError) as refused:
            engine.create(ASSOCIATION, **missing)
        what = "creating EKS Pod Identity Association: operation error EKS: CreatePodIdentityAssociation, "
        assert str(refused.value).startswith(f"{what}https response error StatusCode: 400, ")
        why = "api error InvalidParameterException: Role provided in the request does not exist."
        assert str(refused.value).endswith(why)
        assert "targetRoleArn" in engine.refusal(ASSOCIATION, **inputs, targetRoleArn=inputs["roleArn"])
        assert "invalid JSON policy" in engine.refusal(ASSOCIATION, **inputs, policy="{")


class TestLookups(PluginTest):
    def test_a_cluster_tells_its_issuer_and_the_provider_for_it_is_found_by_that(
        self, engine: Engine, cluster: EksCluster
    ) -> None:
        found = engine.invoke(GET_CLUSTER, name=cluster.name)
        assert (found["arn"], found["id"], found["status"]) == (cluster.arn, cluster.name, "ACTIVE")
        assert (found["endpoint"], found["version"]) == ("https://api.test", "1.34")
        (identity,) = found["identities"]
        assert identity == {"oidcs": [{"issuer": cluster.issuer}]}
        for arguments in ({"url": cluster.issuer}, {"arn": cluster.provider}):
            provider = engine.invoke(GET_PROVIDER, **arguments)
            assert (provider["arn"], provider["id"]) == (cluster.provider, cluster.provider)
            assert provider["url"] == cluster.issuer.removeprefix("https://")
            assert provider["clientIdLists"] == ["sts.amazonaws.com"]

    def test_what_is_not_there_is_told_in_the_providers_words(self, engine: Engine, cluster: EksCluster) -> None:
        with pytest.raises(PluginError, match=r"^reading EKS Cluster \(nowhere\): couldn't find resource"):
            engine.invoke(GET_CLUSTER, name="nowhere")
        url = cluster.issuer[:-4]
        with pytest.raises(PluginError, match=rf"^finding IAM OIDC Provider by url \({url}\): not found"):
            engine.invoke(GET_PROVIDER, url=url)
        with pytest.raises(PluginError, match=r"reading IAM OIDC Provider: .*StatusCode: 404.*NoSuchEntity"):
            engine.invoke(GET_PROVIDER, arn=f"{cluster.provider}x")
        with pytest.raises(PluginError, match="one of `arn,url` must be specified"):
            engine.invoke(GET_PROVIDER)
        with pytest.raises(PluginError, match="only one of `arn,url` can be specified"):
            engine.invoke(GET_PROVIDER, url=url, arn=cluster.provider)


class TestBoundariesAndPaths(PluginTest):
    @pytest.fixture(scope="class")
    @classmethod
    def boundaries(cls, aws: EmulatedAws) -> list[str]:
        iam, document = aws.client("iam"), policy(allow("s3:*", "*"))
        names = [unique("boundary") for _ in range(2)]
        return [iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"] for name in names]

    @pytest.mark.parametrize(("token", "inputs"), [(USER, {}), (ROLE, {"assumeRolePolicy": TRUST})])
    def test_a_boundary_is_given_changed_and_taken_away_in_place(
        self, engine: Engine, boundaries: list[str], token: str, inputs: dict[str, Any]
    ) -> None:
        first, second = boundaries
        made = engine.create(token, **inputs, permissionsBoundary=first)
        assert made.state["permissionsBoundary"] == first
        assert not engine.diff(made, **inputs, permissionsBoundary=first).changes
        changed = engine.update(made, **inputs, permissionsBoundary=second)
        assert changed.state["permissionsBoundary"] == second
        without = engine.update(changed, **inputs)
        assert "permissionsBoundary" not in without.state
        given = engine.update(without, **inputs, permissionsBoundary=first)
        refreshed = engine.read(given)
        assert refreshed is not None
        assert refreshed.state["permissionsBoundary"] == first

    def test_a_path_moves_a_user_and_replaces_a_role(self, engine: Engine) -> None:
        user = engine.create(USER, path="/teams/")
        assert user.state["arn"].endswith(f":user/teams/{user.state['name']}")
        moved = engine.update(user, path="/others/")
        assert moved.state["arn"].endswith(f":user/others/{user.state['name']}")
        role = engine.create(ROLE, assumeRolePolicy=TRUST, path="/teams/")
        assert role.state["arn"].endswith(f":role/teams/{role.id}")
        assert engine.diff(role, assumeRolePolicy=TRUST, path="/others/").replaces == ["path"]
