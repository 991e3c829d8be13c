"""What checkov finds, against what the template says it leaves out."""

from local.checks import Finding, complaints, left_out

PUBLIC = Finding("CKV_AWS_53", "Ensure S3 bucket has block public ACLS enabled", "AWS::S3::Bucket.Bucket")


def test_what_is_not_accepted_is_told_with_its_resource() -> None:
    assert complaints([PUBLIC], {}) == [
        "CKV_AWS_53 AWS::S3::Bucket.Bucket: Ensure S3 bucket has block public ACLS enabled"
    ]


def test_what_is_accepted_is_not() -> None:
    assert complaints([PUBLIC], {"CKV_AWS_53": "a reason"}) == []


def test_what_is_accepted_for_nothing_is_told() -> None:
    skipped = Finding(PUBLIC.check, PUBLIC.words, PUBLIC.resource, skipped=True)
    words = "CKV_AWS_53 is left out in the template's Metadata, and nothing fails it"
    assert complaints([skipped], {"CKV_AWS_53": "a reason"}) == [words]


def test_the_templates_list_is_short_and_has_a_reason_for_each() -> None:
    accepted = left_out()
    assert 0 < len(accepted) < 10
    assert all(len(reason.split()) > 5 for reason in accepted.values())
