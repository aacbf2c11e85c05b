"""Record sets of the emulated Route53."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tests.sandbox.aws.emulated_aws import EmulatedAws


def test_a_record_is_made_where_none_of_its_name_and_type_is_also_if_there_was_one(aws: EmulatedAws) -> None:
    route53 = aws.client("route53")
    zone = route53.create_hosted_zone(Name="made.test", CallerReference="records")["HostedZone"]["Id"]
    assert zone.startswith("/hostedzone/Z")

    def change(action: str, value: str) -> str:
        record = {"Name": "a.made.test", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]}
        changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        try:
            route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
        except ClientError as error:
            return error.response["Error"]["Message"]
        return ""

    there = "Tried to create resource record set [name='a.made.test', type='A'] but it already exists"
    assert (change("CREATE", "192.0.2.1"), change("CREATE", "192.0.2.2")) == ("", there)
    assert (change("DELETE", "192.0.2.1"), change("CREATE", "192.0.2.1")) == ("", "")
    listed = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert [one["Name"] for one in listed if one["Type"] == "A"] == ["a.made.test."]
