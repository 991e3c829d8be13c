"""Files as other programs write them are taken value by value, or refused with words that help."""

import gzip
import io
from collections.abc import Mapping, Sequence

import pytest

from cli.file_options import metadata_of
from cli.local_copy import as_a_run_reads_it
from rowferry.errors import Refused
from rowferry.validate.whole_file import validate_file
from tests.support.files_of_programs import CASES, PAGE, Case, page


def read(case: Case, metadata: Mapping[str, str]) -> tuple[Sequence[str], Sequence[str]]:
    """The rows in normal form without their lines, and the codes of the rejects."""
    packed = case.name.endswith(".gz")
    body = gzip.decompress(case.body) if packed else case.body
    rows, codes = list[str](), list[str]()
    with as_a_run_reads_it(io.BytesIO(body), case.table, metadata, packed) as (fp, wanted):
        for verdict in validate_file(case.table, fp, wanted):  # type: ignore[arg-type]
            rows += [line.partition("\t")[2] for line in verdict.normal_text().splitlines()]
            codes += [code for reject in verdict.rejects for code in reject.codes]
    return rows, codes


@pytest.mark.parametrize("case", [case for case in CASES if not case.refused], ids=lambda case: case.program)
def test_a_file_is_taken_value_by_value(case: Case) -> None:
    assert read(case, metadata_of(case.options)) == (list(case.rows), list(case.codes))


@pytest.mark.parametrize("case", [case for case in CASES if case.refused], ids=lambda case: case.program)
def test_a_file_is_refused_with_words_that_help(case: Case) -> None:
    with pytest.raises(Refused) as refused:
        read(case, metadata_of(case.options))
    assert refused.value.code == case.refused
    assert case.words in str(refused.value)


@pytest.mark.parametrize("case", [case for case in CASES if case.plain], ids=lambda case: case.program)
def test_without_its_options_nothing_is_read_wrong(case: Case) -> None:
    try:
        rows, codes = read(case, {})
    except Refused as refused:
        codes = [refused.code]
        rows = []
    assert case.plain in codes
    assert set(rows) <= set(case.rows)


def test_the_page_is_current_and_has_every_case_once() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python -m tests.support.files_of_programs"
    assert len({case.program for case in CASES}) == len(CASES) >= 40
