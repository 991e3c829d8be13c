"""The step Validate against an API that answers well-formed nonsense."""

import pytest

from rowferry.csvfile.dialect import Dialect
from rowferry.errors import ValidatorUnavailable
from rowferry.steps.work_files import RunFiles
from rowferry.validate.client import Judged, Validator
from tests.support.pipeline import Pipeline


class Forgetful(Validator):
    """Forgets the last row of each chunk, and its answer is whole in itself."""

    def judge(self, table: str, chunk: bytes, dialect: Dialect, first_line: int) -> Judged:
        judged = super().judge(table, chunk, dialect, first_line)
        rows = b"".join(judged.rows.splitlines(keepends=True)[:-1])
        return Judged(judged.read - 1, judged.rejects, rows)


def test_an_answer_about_fewer_records_than_were_sent_is_not_taken(pipeline: Pipeline) -> None:
    planned = pipeline.plan(pipeline.upload("raw/jobs.csv", "1,A\n2,B\n3,C\n"))
    (batch,) = pipeline.batches(planned.run)
    forgetful = Forgetful(pipeline.settings.api_url, pipeline.settings.api_token)
    with pytest.raises(ValidatorUnavailable, match="saw 2 records where Plan counted 3"):
        pipeline.validate_batch(pipeline.read(planned.run), batch, forgetful)
    assert not pipeline.bucket.exists(RunFiles(pipeline.bucket, planned.run).stats_key(0))
