"""Where moto 5.2 differs from AWS in what the registry's stack relies on: each difference, corrected in this process.

Who may do what is in `access_control`, signatures are in `signatures`; the rest is here.
"""

from __future__ import annotations

from sandbox.aws import access_control
from sandbox.aws.moto_corrections import (
    accounts,
    certificates,
    clusters,
    load_balancers,
    network_interfaces,
    permissions_boundaries,
    pod_identity,
    records,
    requests,
    s3,
    target_health,
    web_identity,
)

_applied: set[str] = set()


def correct() -> None:
    """Apply every correction to the moto of this process; those applied before are left as they are."""
    for correction in CORRECTIONS:
        if correction.__name__ not in _applied:
            correction()
            _applied.add(correction.__name__)


CORRECTIONS = (
    access_control.enforce,
    accounts.give_new_accounts_an_administrator,
    accounts.refuse_sessions_that_sts_would_refuse,
    permissions_boundaries.keep_boundaries_of_users,
    permissions_boundaries.refuse_boundaries_that_are_no_policies,
    web_identity.check_web_identities,
    clusters.describe_clusters_as_they_are,
    pod_identity.serve_pod_identity,
    requests.sign_empty_bodies_as_empty,
    requests.answer_refusals_in_the_services_protocol,
    requests.keep_users_that_have_access_keys,
    s3.encrypt_buckets_by_default,
    s3.keep_the_encryption_that_was_asked_for,
    s3.refuse_policies_that_cannot_be_evaluated,
    s3.keep_the_versions_of_suspended_buckets,
    s3.page_through_versions_that_are_deleted_meanwhile,
    certificates.issue_certificates_once_their_domain_is_proven,
    certificates.keep_certificates_that_are_in_use,
    certificates.refuse_listeners_with_certificates_not_issued,
    load_balancers.complete_load_balancers,
    load_balancers.keep_the_instance_protocol_of_listeners,
    load_balancers.delete_all_listeners_that_are_named,
    load_balancers.name_load_balancers_as_aws_does,
    load_balancers.complete_target_groups_of_network_load_balancers,
    load_balancers.change_tls_listeners,
    load_balancers.tell_the_target_group_of_an_action_in_both_ways,
    load_balancers.tell_target_groups_of_a_load_balancer_as_they_are,
    network_interfaces.keep_assigned_prefixes,
    target_health.follow_targets_from_registration_to_the_end_of_draining,
    records.create_records_that_are_not_there,
    records.begin_ids_of_zones_with_z,
)
