"""What is wrong with the settings that only AWS knows: judged by what it answered, told as the settings' own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from registry.aws_answers import Failure, Key, Record
from registry.settings import OTHER_BUCKET_RULE, Settings, told

REASON_LENGTH = 300
"""How many characters of a provider's reason are shown: errors of AWS have ids of requests at their ends."""


def _hostname_of(settings: Settings) -> str:
    """Where to look first if there is no zone: the hostname is wrong as often as the zone."""
    return f"if the hostname {settings.hostname} is wrong, pulumi config set hostname NAME; if it is right, "


_REFUSED_ROLE = re.compile(r"AssumeRole|assume role|cannot be assumed", re.IGNORECASE)
"""What the provider says of a role that it may not take, or that does not exist."""
_REFUSED_ACCOUNT = re.compile(r"AWS account ID not allowed: (\d+)", re.IGNORECASE)
"""What the provider says: VerifyAccountIDAllowed of github.com/hashicorp/aws-sdk-go-base."""


class Judge:
    """Words for the mistakes in `settings`.

    Each method takes an answer of AWS and returns the mistake that it shows, or None. A `Failure` that shows no mistake
    of the setting's (`denied`, `failed`) is None as well: see `unanswered`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def account(self, allowed: object, answer: str | Failure) -> str | None:
        """By the accounts that the configuration allows the provider, and the account of its credentials.

        Given any, the provider itself refuses credentials of another account.
        """
        if isinstance(answer, Failure):
            refused = _REFUSED_ACCOUNT.search(answer.reason)
            if not refused:
                return None
            rule = f"hold the account of the AWS credentials, {refused[1]}"
            remedy = "use credentials of the stack's account, or pulumi stack select the stack of this one"
            return told("aws:allowedAccountIds", allowed, rule, remedy)
        if allowed:
            return None
        rule = (
            "name the stack's AWS account, as pulumi destroy and refresh, which ask nothing, would act in that of\n"
            "    whatever credentials there are"
        )
        command = f"pulumi config set aws:allowedAccountIds '[\"{answer}\"]', as the credentials now are of {answer}"
        return told("aws:allowedAccountIds", allowed, rule, command)

    def region(self, region: str | Failure, answer: str | Failure) -> str | None:
        """By the provider's region, and the look-up of its load balancers' zone."""
        if not isinstance(answer, Failure) or isinstance(region, Failure) or region not in answer.reason:
            return None
        rule = "be a region of AWS, with classic load balancers"
        return told(
            "aws:region", region, rule, "pulumi config set aws:region REGION; aws ec2 describe-regions lists them"
        )

    def cluster_region(self, region: str | Failure, clusters: str | None) -> str | None:
        """By the provider's region, and that of the cluster, if it tells one."""
        if clusters is None or isinstance(region, Failure) or region == clusters:
            return None
        rule = f"be the cluster's region, {clusters}, where its load balancers are, and the certificates that they take"
        return told("aws:region", region, rule, f"pulumi config set aws:region {clusters}, or choose another cluster")

    def zone(self, answer: str | Failure) -> str | None:
        """By the look-up of the hosted zone's name."""
        name, kind = self._settings.zone, "private" if self._settings.private_zone else "public"
        if isinstance(answer, Failure) and self._is_refused_role(answer):
            return self._role(answer)
        match answer:
            case Failure("missing"):
                return told(
                    "zone",
                    name,
                    f"be a {kind} hosted zone of this AWS account, and there is none of that name",
                    f"{_hostname_of(self._settings)}name the zone that holds it, one of\n"
                    "    aws route53 list-hosted-zones, without the dot at its end: pulumi config set zone NAME",
                )
            case Failure("several"):
                return told(
                    "zone",
                    name,
                    f"be the name of one {kind} hosted zone, and several have it",
                    "choose one: pulumi config set zoneId ID; the ids are in "
                    f"aws route53 list-hosted-zones-by-name --dns-name {name}",
                )
            case Failure("denied", reason):
                return told(
                    "zone",
                    name,
                    f"be looked up, which AWS denies: {reason[:REASON_LENGTH]}",
                    "have the rights that docs/rights.md lists for a preview, or give the zone by its id: "
                    "pulumi config set zoneId ID",
                )
        return None

    def _is_refused_role(self, answer: Failure) -> bool:
        return bool(self._settings.zone_role_arn and _REFUSED_ROLE.search(answer.reason))

    def _role(self, answer: Failure) -> str:
        return told(
            "zoneRoleArn",
            self._settings.zone_role_arn,
            f"be a role that these credentials may take, and AWS refuses it: {answer.reason[:REASON_LENGTH]}",
            "let the role trust the stack's account, and give whoever runs this sts:AssumeRole on it:\n"
            "    docs/rights.md, A zone in another account",
        )

    def zone_id(self, records: Sequence[Record] | Failure) -> str | None:
        """By the look-up of records in the zone that the settings give by its id."""
        if not isinstance(records, Failure):
            return None
        if self._is_refused_role(records):
            return self._role(records)
        if records.kind != "missing":
            return None
        return told(
            "zoneId",
            self._settings.zone_id,
            "be the id of a hosted zone of this AWS account, and there is none with it",
            "take from aws route53 list-hosted-zones what stands behind /hostedzone/: pulumi config set zoneId ID",
        )

    def record(self, hostname: str, others: Iterable[Record]) -> str | None:
        """By the records of a hostname that are not the stack's; only those that stand in an address's way count."""
        in_the_way = [record for record in others if record.type in ("A", "CNAME")]
        if not in_the_way:
            return None
        record = in_the_way[0]
        where = f"alias of {record.alias}" if record.alias else ", ".join(record.values)
        return told(
            "hostname" if hostname == self._settings.hostname else "hostnames",
            hostname,
            f"have no record of anybody else's in the zone, and has one of type {record.type}: {where}",
            "choose another hostname, or delete the record once nobody needs it",
        )

    def bucket(self, answer: str | Failure) -> str | None:
        """By the look-up of the bucket's name, which no resource in the stack's state has."""
        match answer:
            case Failure("missing" | "failed"):
                return None
            case Failure("denied"):
                found = "an account that does not show it to you has it"
            case Failure():
                found = "there is such a bucket, in another region"
            case region:
                found = f"there is such a bucket, in {region}, which this stack did not make"
        name = self._settings.bucket.name
        return told(
            "bucket.name",
            name,
            f"be a name that no bucket has, in any account, and {found}",
            "choose another, or leave it out: Pulumi then makes a unique one. If an update that was broken\n"
            f"    off left it, it is empty: aws s3 rb s3://{name} deletes it, and nothing that holds an image",
        )

    def moved_bucket(self, former: str) -> str:
        """By the name of the bucket that the stack has."""
        rule = f"stay {former}, where the images are: an empty bucket would take its place"
        remedy = (
            f"pulumi config set --path bucket.name {former}; docs/operations.md, Move the images, tells how\n"
            "    they get into another bucket"
        )
        return told("bucket.name", self._settings.bucket.name, rule, remedy)

    def logged_logs(self) -> str:
        """By the name of the bucket that the stack has, which is that of the access logs."""
        command = "pulumi config set --path accessLogs.bucket NAME"
        return told("accessLogs.bucket", self._settings.access_logs.bucket, OTHER_BUCKET_RULE, command)

    def access_logs(self, answer: str | Failure, region: str | Failure) -> str | None:
        """By the look-up of the logs' bucket, and the provider's region."""
        name = self._settings.access_logs.bucket
        match answer:
            case Failure("missing"):
                remedy = f"aws s3 mb s3://{name}; docs/operations.md, Access logs, has the policy that it needs"
                return told("accessLogs.bucket", name, "be a bucket that exists", remedy)
            case Failure("elsewhere"):
                found = "it is in another one"
            case str() if isinstance(region, str) and answer != region:
                found = f"it is in {answer}"
            case _:
                return None
        rule = f"be a bucket of the stack's region, and {found}"
        return told(
            "accessLogs.bucket", name, rule, "give one of that region: pulumi config set --path accessLogs.bucket NAME"
        )

    def key(self, region: str, answer: Key | Failure | None) -> str | None:
        """By the provider's region, and what KMS tells of the key, which is not asked of another region's (None)."""
        arn = self._settings.bucket.kms_key_arn or ""
        state = answer.state if isinstance(answer, Key) else None
        if answer is None:
            rule, remedy = f"be a key of the bucket's region, {region}", f"give the ARN of a key of {region}"
        elif isinstance(answer, Failure):
            if answer.kind != "missing":
                return None
            rule, remedy = "be a key that exists", f"take the ARN of one: aws kms list-keys --region {region}"
        elif state != "Enabled":
            rule = f"be a key that is enabled, and KMS calls it {state}"
            cancel = f"aws kms cancel-key-deletion --key-id {arn}, then " if state == "PendingDeletion" else ""
            remedy = f"{cancel}aws kms enable-key --key-id {arn}, or give another key"
        elif (answer.spec, answer.usage) != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
            rule = f"be a symmetric key for encryption, as S3 takes no other, and it is {answer.spec}, {answer.usage}"
            remedy = "give a key that aws kms create-key makes without further options"
        else:
            return None
        return told("bucket.kmsKeyArn", arn, rule, remedy)

    def certificate(self, region: str, status: str | None) -> str | None:
        """By the provider's region, and the certificate's status, which is not asked of another region's (None)."""
        arn = self._settings.tls
        if status is None:
            rule = f"be a certificate of the load balancer's region, {region}"
            remedy = f"request or import one there, and give its ARN: aws acm list-certificates --region {region}"
        elif status != "ISSUED":
            rule = f"be a certificate that is issued, and ACM calls it {status}"
            remedy = f"aws acm describe-certificate --certificate-arn {arn} says what it waits for; or give another"
        else:
            return None
        return told("tls", arn, rule, remedy)

    def unanswered(self, asked: dict[str, object]) -> tuple[list[str], list[str]]:
        """Of the answers by the setting that they are about, what was not answered: mistakes, and warnings.

        A question that one has not the right to ask is a warning: the update may well have the rights that it needs.
        """
        failures = {setting: answer for setting, answer in asked.items() if isinstance(answer, Failure)}
        warnings = [
            f"{setting} was not looked up, as AWS denies it: {answer.reason[:REASON_LENGTH]}. "
            "docs/rights.md lists the rights that a preview needs"
            for setting, answer in failures.items()
            if answer.kind == "denied"
        ]
        reasons = {answer.reason: setting for setting, answer in failures.items() if answer.kind == "failed"}
        mistakes = [
            f"  AWS gave no answer about {setting}: {reason[:REASON_LENGTH]}.\n"
            "    Remedy: see that aws sts get-caller-identity works with this stack's credentials and aws:region"
            for reason, setting in reasons.items()
        ]
        return mistakes, warnings
