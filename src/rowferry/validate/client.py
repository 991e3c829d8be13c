"""Calls the validator API: one POST for each chunk, the answer as text that LOAD DATA reads.

Where no API is in reach of the functions, the code behind that route gives the verdict in the function itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

import urllib3
from pydantic import ValidationError

from rowferry.csvfile.dialect import Dialect
from rowferry.declare.catalog import table_named
from rowferry.errors import Never, ValidatorUnavailable
from rowferry.validate.reading import ChunkFormat
from rowferry.validate.verdict import CHUNK_MEDIA_TYPE, REJECT, Reject, validate_bytes

_PASSING = {401, 408, 425, 429}
"""401 too: while the token is being replaced, functions and API hold different ones for minutes."""


class ValidatorRefuses(Never):
    """The API says 4xx to a chunk that Plan made: a version does not fit, or its token may not validate."""


@dataclass(frozen=True)
class Judged:
    """A chunk's verdict as the API gave it; `rows` is `Validated.normal_text`, `counts` its counts."""

    read: int
    rejects: list[Reject]
    rows: bytes
    counts: Mapping[str, int] = field(default_factory=dict)


class Judge(Protocol):
    """Whoever gives the verdict on a chunk."""

    def judge(self, table: str, chunk: bytes, dialect: Dialect, first_line: int) -> Judged: ...


def judge_at(url: str, token: str) -> Judge:
    """The API at a base URL; where it is empty, this process."""
    return Validator(url, token) if url else InProcess()


class InProcess:
    """The verdict without HTTP: what the API's route does, done here."""

    def judge(self, table: str, chunk: bytes, dialect: Dialect, first_line: int) -> Judged:
        """Raises: BadRequest."""
        validated = validate_bytes(table_named(table), chunk, dialect, first_line)
        rows = validated.normal_text().encode()
        return Judged(validated.read, list(validated.rejects), rows, validated.counts)


def _format(dialect: Dialect) -> str:
    """What a chunk's format says beyond the default, as JSON."""
    return "" if (given := ChunkFormat.of(dialect)) == ChunkFormat() else given.model_dump_json(exclude_defaults=True)


class Validator:
    """The API at a base URL; keeps its connection open between chunks."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/") + "/upload_csv"
        self._pool = urllib3.PoolManager(maxsize=1, retries=False, timeout=urllib3.Timeout(connect=5, read=60))
        self._headers = {"Accept": CHUNK_MEDIA_TYPE, "Content-Type": "text/csv; charset=utf-8"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def judge(self, table: str, chunk: bytes, dialect: Dialect, first_line: int) -> Judged:
        """Raises: ValidatorUnavailable for no answer, a busy one or a senseless one; ValidatorRefuses for 4xx."""
        query = {
            "table": table,
            "delimiter": dialect.delimiter,
            "columns": ",".join(dialect.columns),
            "first_line": str(first_line),
            "format": _format(dialect),
        }
        answer = self._post(urlencode({name: text for name, text in query.items() if text}), chunk)
        head, _, rows = answer.partition(b"\n")
        try:
            told = json.loads(head)
            rejects = [REJECT.validate_python(reject) for reject in told["rejects"]]
            judged = Judged(told["read"], rejects, rows, told.get("counts", {}))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise ValidatorUnavailable("the validator API's answer makes no sense") from error
        if judged.read != len(judged.rejects) + rows.count(b"\n") or (rows and not rows.endswith(b"\n")):
            raise ValidatorUnavailable("the validator API's answer is not whole")
        return judged

    def _post(self, query: str, chunk: bytes) -> bytes:
        try:
            answer = self._pool.request("POST", f"{self._url}?{query}", body=chunk, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise ValidatorUnavailable(f"the validator API is out of reach: {type(error).__name__}") from error
        if answer.status == 200:
            return answer.data
        if 400 <= answer.status < 500 and answer.status not in _PASSING:
            raise ValidatorRefuses(f"the validator API refuses a chunk: HTTP {answer.status}")
        raise ValidatorUnavailable(f"the validator API answered HTTP {answer.status}")
