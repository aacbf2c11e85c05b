"""Surroundings: what the stack finds in AWS, looked up before anything is made there."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pulumi
import pulumi_aws as aws

from registry import aws_reads, cluster, role_trust, stack_state
from registry.aws_answers import Failure, Record
from registry.endpoint import SERVICE_LABELS
from registry.environment import HTPASSWD_FILE, environment_mistakes
from registry.load_balancer import combinations, last_word, readiness_gates, service_class
from registry.load_balancer.annotations import scheme
from registry.load_balancer.kinds import Kind
from registry.mistakes import Judge
from registry.ownership import Ownership
from registry.releases import major_of
from registry.settings import Settings, SettingsError
from registry.zone_provider import zone_provider

_AUTONAMED = re.compile(r"registry-bucket-[0-9a-f]{7}")
"""The names that Pulumi makes: pulumi.com/docs/iac/concepts/resources/names/#autonaming"""


@dataclass(frozen=True)
class Surroundings:
    """What the settings lead to in AWS.

    `zone_id` is the hosted zone's, which `zone_provider` writes into if the stack's own provider does not. `kind`: who
    makes the load balancer, and which. `adopted_records`: the hostnames whose records lead to this stack's load
    balancer already, but which the state does not have, so that they are to be taken over. `bucket_name`: as set, or as
    it was, None for one that Pulumi makes. `was_versioned`: the stack's bucket keeps versions of objects, or did once.
    `users`: those of the settings, in the order in which the pods have them. `trusted_arn`: whom the registry's role
    trusts, see `Identity`.
    """

    zone_id: str
    kind: Kind
    zone_provider: aws.Provider | None = None
    adopted_records: Collection[str] = ()
    bucket_name: str | None = None
    was_versioned: bool = False
    users: Sequence[str] = ()
    trusted_arn: str = ""

    @classmethod
    def find(cls, settings: Settings, ownership: Ownership) -> Self:
        """Look at what the settings name, by reads only.

        Raises SettingsError, with every mistake that AWS and (by `ownership`) the cluster know, all at once.
        """
        look = _Look(settings, ownership)
        zone_id = certificate = None
        adopted_records: list[str] = []
        trusted_arn = ""
        if look.at_account():
            look.at_provider_region()
            zone_id = look.at_zone()
            adopted_records = [name for name in settings.all_hostnames if zone_id and look.at_record(zone_id, name)]
            look.at_bucket()
            look.at_access_logs()
            trusted_arn = look.at_trust()
            certificate = look.at_region()
        look.at_load_balancer()
        unanswered, warnings = look.judge.unanswered(look.answers)
        mistakes = [*ownership.mistakes, *look.mistakes, *unanswered, *environment_mistakes(settings)]
        error = SettingsError.of(mistakes, ownership.cluster) if mistakes else None
        if certificate:
            if error:  # to be told even if there is no such certificate, which ends the program
                pulumi.log.error(str(error))
            error = look.at_certificate(*certificate) or (SystemExit(1) if error else None)
        if error:
            raise error
        if settings.is_open:
            warnings.append(f"{settings.hostname}: everyone on the internet may push and pull (anonymousPush)")
        if settings.identity != "user" and major_of(settings.image) is None:
            warnings.append(
                f"{settings.image} does not tell its release: one of 2.x knows no role but the node's, so that its "
                f"pods would not take part with identity {settings.identity}"
            )
        for note in look.notes:
            pulumi.log.info(note)
        for warning in [*look.warnings, *warnings]:
            pulumi.log.warn(warning)
        ownership.record_cluster()
        return cls(
            zone_id or "",
            look.kind,
            look.zone_provider,
            adopted_records,
            look.bucket_name(),
            look.was_versioned(),
            look.users(),
            trusted_arn,
        )


class _Look:
    """One look at each thing; `mistakes` are those that it showed, `answers` what AWS said, by setting. `notes` and
    `warnings` are to be told if there are no mistakes."""

    def __init__(self, settings: Settings, ownership: Ownership) -> None:
        self.judge = Judge(settings)
        self.mistakes: list[str] = []
        self.answers: dict[str, object] = {}
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.kind = Kind.CLASSIC
        self.zone_provider: aws.Provider | None = None
        self._settings = settings
        self._ownership = ownership

    def at_account(self) -> bool:
        """Whether AWS answers at all, by the account of the credentials and those that the configuration allows."""
        allowed = pulumi.Config("aws").get_object("allowedAccountIds")
        found = aws_reads.account()
        mistake = self.judge.account(allowed, found)
        self._note(mistake)
        if isinstance(found, str):
            return True
        if not mistake:
            self.answers["aws:allowedAccountIds"] = found
        return False

    def at_provider_region(self) -> None:
        """Whether the provider's region is one, and the cluster's."""
        found = aws_reads.load_balancer_zone_id()
        if isinstance(found, str):
            self._note(self.judge.cluster_region(aws_reads.region(), self._ownership.cluster_region))
            return
        mistake = self.judge.region(aws_reads.region(), found)
        self._note(mistake)
        if not mistake:
            self.answers["aws:region"] = found

    def at_load_balancer(self) -> None:
        """Who makes the load balancer, and which, as far as the cluster tells; and what does not go with it."""
        settings, ownership = self._settings, self._ownership

        def ask() -> str | service_class.Refused | None:
            if not ownership.cluster or ownership.mistakes:
                return service_class.Refused("it has mistakes of its own", is_denied=True)
            return cluster.given_class(
                settings.namespace, labels=SERVICE_LABELS, annotations=scheme(settings.load_balancer.internal)
            )

        service = ownership.service()
        found = service_class.find(settings.load_balancer, settings.namespace, service, ask)
        self.kind = found.kind
        self.notes += [found.note] if found.note else []
        self.warnings += [found.warning] if found.warning else []
        self._note(found.mistake)
        if service and not ownership.mistakes:
            with contextlib.suppress(cluster.ClusterError):  # who may not list events does without
                refusal = last_word.refusal(cluster.events(settings.namespace, "Service", "kube-registry"))
                self.warnings += [refusal] if refusal else []
        if not found.is_known:
            return
        self.mistakes += combinations.mistakes(found.kind, settings)
        gates = readiness_gates.find(found.kind, settings, ownership.namespace_labels)
        self.warnings += [gates.warning] if gates.warning else []
        self._note(gates.mistake)

    def at_zone(self) -> str | None:
        """The id of the hosted zone, if there is one."""
        settings = self._settings
        self.zone_provider = zone_provider(settings.zone_role_arn)
        if settings.zone_id:
            return settings.zone_id
        found = aws_reads.zone_id(settings.zone, private=settings.private_zone, provider=self.zone_provider)
        mistake = self.judge.zone(found)
        self._note(mistake)
        if isinstance(found, str):
            return found
        if found.kind == "failed" and not mistake:
            self.answers["zone"] = found
        return None

    def at_record(self, zone_id: str, hostname: str) -> bool:
        """Whether a hostname's record is the stack's though its state does not have it.

        The stack's own is what its state has, even of an update that was broken off. If it was broken off between the
        making and the noting, it is the record that leads to the load balancer of the stack's Service, of which the
        Service's mark says whose it is, or to that of its last outputs. Any other is somebody else's.
        """
        found = aws_reads.records(zone_id, hostname, provider=self.zone_provider)
        if self._settings.zone_id and hostname == self._settings.hostname:
            self._note(self.judge.zone_id(found))
        if isinstance(found, Failure):
            self.answers["hostname"] = found
            return False
        if not found or any(
            (record["zoneId"], record["name"], record["type"]) == (zone_id, hostname, "A")
            for record in self._in_state("aws:route53/record:Record")
        ):
            return False
        hostnames = {*self._ownership.load_balancer_hostnames, stack_state.last_outputs().get("loadBalancerHostname")}
        own = [one for one in found if one.type == "A" and _leads_to(one) in hostnames]
        self._note(self.judge.record(hostname, (one for one in found if one not in own)))
        return bool(own)

    def at_bucket(self) -> None:
        """The bucket of a name that the settings give.

        The stack's own is what its state has, even of an update that was broken off. One that was made, but not noted
        any more, is told like a stranger's: AWS would refuse to make it again, too.
        """
        name, former = self._settings.bucket.name, self._former_bucket()
        if name and former and name != former:
            self._note(self.judge.moved_bucket(former))
            return
        found = aws_reads.bucket_region(name) if name and name != former else None
        if found is None or (isinstance(found, Failure) and found.kind == "missing"):
            return
        self._note(self.judge.bucket(found))
        if isinstance(found, Failure) and found.kind == "failed":
            self.answers["bucket.name"] = found

    def at_trust(self) -> str:
        """The ARN of whom the registry's role trusts, by `identity`; empty for a user, and where it is a mistake."""
        found = role_trust.find(self._settings)
        self._note(found.mistake)
        if found.failure:
            self.answers[found.setting] = found.failure
        return found.arn

    def at_access_logs(self) -> None:
        """The bucket of the access logs, which somebody else makes."""
        name = self._settings.access_logs.bucket
        if not name:
            return
        if name == self._former_bucket():
            self._note(self.judge.logged_logs())
            return
        found, region = aws_reads.bucket_region(name), aws_reads.region()
        self._note(self.judge.access_logs(found, region))
        if isinstance(found, Failure) and found.kind in ("denied", "failed"):
            self.answers["accessLogs.bucket"] = found

    def bucket_name(self) -> str | None:
        """The bucket's name as it is set; if it is not any more, as it was."""
        former = self._former_bucket()
        return self._settings.bucket.name or (None if former is None or _AUTONAMED.fullmatch(former) else former)

    def was_versioned(self) -> bool:
        """Whether the state has the bucket's versioning as switched on, now or once."""
        found = self._in_state("aws:s3/bucketVersioning:BucketVersioning")
        return any(one["versioningConfiguration"]["status"] != "Disabled" for one in found)

    def users(self) -> list[str]:
        """The users, first those that the pods have, in their order: the same in another order is not to roll them."""
        secrets = stack_state.resources("kubernetes:core/v1:Secret") if self._ownership.has_state else {}
        data = secrets.get("registry-secret", {}).get("data", {})
        lines = base64.b64decode(data.get(HTPASSWD_FILE, "")).decode().splitlines()
        recorded = [line.partition(":")[0] for line in lines]
        return sorted(
            self._settings.users, key=lambda user: recorded.index(user) if user in recorded else len(recorded)
        )

    def at_region(self) -> tuple[str, str] | None:
        """The regions of the certificate and the key that the settings give, and the key; the stack makes neither.

        Returns the certificate and its region if it is to be looked at.
        """
        certificate, key = self._settings.tls, self._settings.bucket.kms_key_arn
        # IAM, which has certificates too, is in no region.
        certificate = certificate if ":acm:" in certificate else None
        if not key and not certificate:
            return None
        region = aws_reads.region()
        if isinstance(region, Failure):
            self.answers["bucket.kmsKeyArn" if key else "tls"] = region
            return None
        if key:
            found = aws_reads.key(key) if _region(key) == region else None
            self.answers["bucket.kmsKeyArn"] = found
            self._note(self.judge.key(region, found))
        if certificate and _region(certificate) != region:
            self._note(self.judge.certificate(region, None))
            return None
        return (certificate, region) if certificate else None

    def at_certificate(self, arn: str, region: str) -> SettingsError | None:
        """The certificate's mistake. If there is no such certificate, the engine tells it, and ends the program."""
        status = aws_reads.certificate_status(arn, "tls")
        mistake = self.judge.certificate(region, status)
        return SettingsError.of([mistake]) if mistake else None

    def _former_bucket(self) -> str | None:
        """The name of the bucket in the state."""
        return next((bucket.get("bucket") for bucket in self._in_state("aws:s3/bucket:Bucket")), None)

    def _in_state(self, type_: str) -> list[dict[str, Any]]:
        return [dict(one) for one in stack_state.resources(type_).values()] if self._ownership.has_state else []

    def _note(self, mistake: str | None) -> None:
        if mistake:
            self.mistakes.append(mistake)


def _region(arn: str) -> str:
    """The region in an ARN."""
    return arn.split(":")[3]


def _leads_to(record: Record) -> str:
    """The name that an alias leads to, else empty. What the console makes has a prefix that changes nothing."""
    return (record.alias or "").lower().removeprefix("dualstack.")
