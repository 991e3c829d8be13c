"""Versions of one object that S3's clock does not tell apart."""

import datetime as dt

import pytest

from rowferry.errors import Refused
from rowferry.steps.input_copy import FILE_RECORDS, check_size
from rowferry.steps.plan import in_order
from rowferry.storage.s3 import Version

SECOND = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def version(id: str) -> Version:
    return Version("raw/jobs.csv", id, "etag", 1, SECOND)


def at(millisecond: int) -> dt.datetime:
    return SECOND + dt.timedelta(milliseconds=millisecond)


def test_a_version_is_stamped_behind_those_before_it_whatever_has_gone_meanwhile() -> None:
    all_there = in_order([version(id) for id in "abcd"], {})
    stamps = {one.id: one.modified for one in all_there}
    assert stamps == {"a": at(0), "b": at(1), "c": at(2), "d": at(3)}
    claimed = {"c": stamps["c"]}
    assert [one.modified for one in in_order([version("c"), version("d")], claimed)] == [at(2), at(3)], "a, b deleted"
    assert [one.modified for one in in_order([version("a"), version("b")], claimed)] == [at(0), at(1)], "c finished"


def test_a_version_that_began_in_the_same_second_and_was_completed_later_keeps_its_place() -> None:
    claimed = {"b": at(0)}
    listed = [version("a"), version("a2"), version("b"), version("c")]
    found = [one.modified for one in in_order(listed, claimed)]
    assert found == sorted(set(found)), "each is later than the one before it"
    assert found[2:] == [at(0), at(1)]
    claimed |= {"a": found[0], "c": found[3]}
    assert [one.modified for one in in_order(listed, claimed)] == found, "whichever was claimed meanwhile"


def test_a_file_of_more_records_than_are_allowed_is_refused() -> None:
    check_size("records", FILE_RECORDS, FILE_RECORDS)
    with pytest.raises(Refused, match="20000001 records and may have 20000000; cut it between records"):
        check_size("records", FILE_RECORDS + 1, FILE_RECORDS)
