"""The pod's spec, of whose text a ReplicationController's generation is made."""

from __future__ import annotations

from registry.pod import pod_spec
from registry.pod_credentials import of_access_key


def test_image_pull_secrets_that_are_not_set_leave_the_template_as_it_was_before_there_were_any() -> None:
    spec = pod_spec(
        "registry:3.1.2",
        {},
        memory_limit=0,
        removal_seconds=5,
        has_users=False,
        image_pull_secrets=[],
        storage_check_name="storage-check",
        credentials=of_access_key("access-key"),
        secret_name="secret",
        service_account_name="kube-registry",
    )
    assert "image_pull_secrets" not in spec
