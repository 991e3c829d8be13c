"""docs/data-contract.md, run row by row."""

import ast
import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline

PAGE = (Path(__file__).parents[2] / "docs/data-contract.md").read_text(encoding="utf-8")
ROWS = {
    "hired_employees": {
        "id": "7",
        "name": "Ann",
        "datetime": "2021-07-27T16:02:08Z",
        "department_id": "1",
        "job_id": "1",
    },
    "readings": {"id": "7", "price": "1", "share": "0", "total": "0", "steps": "0", "note": "Ann"},
}
COLUMNS = {
    "INT": ("hired_employees", "id"),
    "TEXT": ("hired_employees", "name"),
    "TIMESTAMP": ("hired_employees", "datetime"),
    "DECIMAL(10,2)": ("readings", "price"),
    "BIGINT": ("readings", "steps"),
}


def rows_under(first_column: str) -> list[list[str]]:
    """The rows of the page's table whose header begins so."""
    lines = PAGE.splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    found = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert found
    return found


def quoted(cell: str) -> list[str]:
    """The texts between backticks, `x` × 3 repeated; an empty pair of backticks is an empty text."""
    found = []
    for text, times in re.findall(r"`([^`]*)`(?: × (\d+))?", cell):
        found.append(text * int(times or 1))
    return found


def as_bytes(text: str) -> bytes:
    escaped = text.replace("\\|", "|").replace('"', '\\"')
    value = ast.literal_eval(f'"{escaped}"')
    return b"".join(bytes([ord(char)]) if "\x80" <= char <= "\xff" else char.encode() for char in value)


def fields_of(text: str) -> tuple[int, str]:
    (row,) = csv.reader(io.StringIO(as_bytes(text).decode(), newline=""))
    return int(row[0]), row[1]


@pytest.mark.usefixtures("readings")
@pytest.mark.parametrize(("kind", "given", "becomes"), rows_under("type"))
def test_values(pipeline: Pipeline, kind: str, given: str, becomes: str) -> None:
    pipeline.migrate("raw/departments.csv", "1,A\n")
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    texts = [text.replace("\\\\", "\\") if kind == "TEXT" and "\\t" not in text else text for text in quoted(given)]
    texts = [text.replace("\\t", "\t") for text in texts]
    assert texts
    for text in texts:
        (type_,) = re.findall(r"^(?:BIGINT|INT|TIMESTAMP|TEXT|DECIMAL\(10,2\))", kind)
        table, column = COLUMNS[type_]
        out = io.StringIO()
        csv.writer(out).writerow((ROWS[table] | {column: text}).values())
        report = pipeline.migrate(f"raw/{table}.csv", out.getvalue())
        if quoted(becomes) or becomes.startswith("as given"):
            assert report["rejected"] == 0, f"{text!r} is rejected: {report['rejected_by_code']}"
            stored = pipeline.table(table)[-1][list(ROWS[table]).index(column)]
            assert str(stored) == (text if becomes.startswith("as given") else quoted(becomes)[0])
        else:
            assert report["rejected_by_code"] == {becomes: 1}, text
            assert pipeline.rejects(report)[0][column] == text


@pytest.mark.parametrize(("before", "file", "policy", "after", "counted"), rows_under("in the table"))
def test_keys(pipeline: Pipeline, before: str, file: str, policy: str, after: str, counted: str) -> None:
    if before:
        pipeline.migrate("raw/departments.csv", as_bytes(quoted(before)[0]))
    report = pipeline.migrate("raw/departments.csv", as_bytes(quoted(file)[0]), on_conflict=policy)
    assert pipeline.table("departments") == [fields_of(text) for text in quoted(after)]
    found: dict[str, int] = {word: int(count) for count, word in re.findall(r"(\d) (\w+)", counted)}
    assert {name: report[name] for name in ("inserted", "updated", "unchanged", "rejected") if report[name]} == found
    assert list(report["rejected_by_code"]) == re.findall(r": (\w+)", counted)


@pytest.mark.usefixtures("unique_names")
@pytest.mark.parametrize(("before", "file", "policy", "after", "counted"), rows_under("there before"))
def test_unique_values(pipeline: Pipeline, before: str, file: str, policy: str, after: str, counted: str) -> None:
    test_keys(pipeline, before, file, policy, after, counted)


@pytest.mark.parametrize(("file", "shows", "rows", "rejects"), rows_under("a file"))
def test_files(pipeline: Pipeline, file: str, shows: str, rows: str, rejects: str) -> None:
    report = pipeline.migrate("raw/departments.csv", as_bytes(quoted(file)[0]))
    assert pipeline.table("departments") == [fields_of(text) for text in quoted(rows)], shows
    found = [(row["_line"], row["_codes"]) for row in pipeline.rejects(report)]
    assert found == re.findall(r"`(\d+)` (\w+)", rejects), shows


@pytest.mark.parametrize(("code", "why", "file"), rows_under("code"))
def test_refusals(pipeline: Pipeline, conn: Connection, code: str, why: str, file: str) -> None:
    texts = quoted(file)
    key = next((text for text in texts if text.startswith("raw/")), "raw/departments.csv")
    body = b"".join(as_bytes(text) for text in texts if not text.startswith("raw/"))
    report: dict[str, Any] = pipeline.migrate(key, body)
    assert (report["status"], report["code"]) == ("refused", code), why
    assert mysql.rows(conn, "SELECT * FROM departments") == []
    assert pipeline.bucket.read_all(report["moved_to"]) == body
