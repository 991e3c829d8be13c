"""The command line where it needs no stack: usage, help, and the verdict on files."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.file_options import metadata_of
from cli.follow import state_of, worst
from cli.history import Run
from cli.main import app, main
from cli.output import CommandError
from cli.rejects import _lines
from cli.upload import keys_of
from rowferry.csvfile.wanted import with_metadata
from rowferry.declare.csv_format import CsvFormat


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROWFERRY_STATE", str(tmp_path / "no-stack"))
    monkeypatch.setenv("COLUMNS", "200")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_help_shows_examples_and_the_exit_codes() -> None:
    assert "rowferry load departments.csv jobs.csv" in call("load", "--help").stdout
    assert "3 loaded with rejects" in call("--help").stdout


@pytest.mark.parametrize(
    ("given", "words"),
    [(["chek"], "Did you mean 'check'"), (["runs", "--jsno"], "--json"), (["load"], "Missing argument 'FILE'")],
)
def test_a_wrong_command_or_option_is_named_with_what_was_meant(given: list[str], words: str) -> None:
    result = call(*given)
    assert result.exit_code == 2
    assert words in result.stderr


def test_without_a_stack_a_command_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rowferry", "runs"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "rowferry up" in err


def test_a_profile_without_a_stack_on_aws_is_a_usage_error() -> None:
    result = call("runs", "--profile", "work")
    assert isinstance(result.exception, CommandError)
    assert result.exception.code == 2


# --- check


def test_check_finds_every_fault_of_a_file_and_needs_no_stack(tmp_path: Path) -> None:
    path = write(tmp_path, "departments.csv", "id,name\n1,Sales\n2,\nx,Legal\n4,a,b\n")
    result = call("check", path)
    assert result.exit_code == 3
    lines = [line.partition("departments.csv: ")[2] for line in result.stdout.splitlines()]
    assert [line.partition(":")[0] for line in lines[:3]] == ["line 3", "line 4", "line 5"]
    assert lines[3] == "4 records for departments, 1 valid, 3 rejected"


def test_check_with_json_prints_one_object_a_line_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    path = write(tmp_path, "departments.csv", "1,Sales\n2,\n")
    result = call("check", "--json", path)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["finding"], one.get("line"), one.get("codes")) for one in found] == [
        ("reject", 2, ["missing"]),
        ("total", None, None),
    ]
    assert "2 records" in result.stderr


def test_check_of_several_files_ends_as_the_worst_of_them(tmp_path: Path) -> None:
    good = write(tmp_path, "departments.csv", "1,Sales\n")
    bad = write(tmp_path, "jobs.csv", "id,title\n1,Cook\n")
    assert call("check", good).exit_code == 0
    result = call("check", good, bad)
    assert result.exit_code == 4
    assert "the whole file would be refused: header" in result.stdout


def test_check_inflates_gzip_and_takes_the_table_by_name(tmp_path: Path) -> None:
    path = tmp_path / "Export 2026.CSV.GZ"
    path.write_bytes(gzip.compress(b"1,Sales\n2,Legal\n"))
    assert call("check", "--table", "departments", str(path)).exit_code == 0
    path.write_bytes(b"no gzip")
    assert call("check", "--table", "departments", str(path)).exit_code == 4


def test_check_shows_no_more_findings_than_asked_for_and_counts_all(tmp_path: Path) -> None:
    path = write(tmp_path, "departments.csv", "x,\n" * 2_500)
    result = call("check", path, "--limit", "3")
    assert result.stdout.count("\n") == 5
    assert "2,500 rejected" in result.stdout


# --- load


def test_a_file_keeps_a_name_that_names_its_table_and_gets_one_from_the_option(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "departments-may.csv", ""))
    other = Path(write(tmp_path, "Export May.CSV", ""))
    assert [one.key for one in keys_of([path], None, False)] == ["raw/departments-may.csv"]
    assert [one.key for one in keys_of([other], "departments", False)] == ["raw/departments/Export May.csv"]
    assert [one.key for one in keys_of([path], None, True)] == ["check/departments-may.csv"]


@pytest.mark.parametrize(
    ("names", "words"),
    [(["mine.csv"], "add --table"), (["absent.csv"], "no such file"), (["jobs.csv", "jobs.csv"], "twice")],
)
def test_files_that_can_not_be_uploaded_are_named_before_anything_is_sent(
    tmp_path: Path, names: list[str], words: str
) -> None:
    for name in ("mine.csv", "jobs.csv"):
        write(tmp_path, name, "")
    with pytest.raises(CommandError, match=words) as raised:
        keys_of([tmp_path / name for name in names], None, False)
    assert raised.value.code == 2


def run(status: str, rejected: int = 0, **more: object) -> Run:
    return Run.model_validate({"run": "a" * 32, "key": "raw/jobs.csv", "status": status, "rejected": rejected, **more})


@pytest.mark.parametrize(
    ("runs", "code"),
    [
        ([run("done")], 0),
        ([run("done", 2), run("done")], 3),
        ([run("checked", 2, would_be="gated")], 4),
        ([run("checked")], 0),
        ([run("refused"), run("done", 1)], 4),
        ([run("superseded")], 4),
        ([run("failed"), run("refused")], 5),
        ([run("abandoned")], 5),
    ],
)
def test_the_exit_code_is_that_of_the_run_that_went_worst(runs: list[Run], code: int) -> None:
    assert worst(runs) == code


def test_why_nothing_was_loaded_is_the_code_and_the_reason_as_far_as_the_stack_says_them() -> None:
    assert run("refused", code="header", reason="line 1 is no header").why == "header: line 1 is no header"
    assert run("failed", reason="no database").why == "no database"
    assert run("done").why is None


def test_a_run_under_way_says_its_step_its_speed_and_the_time_left() -> None:
    now = run("running", stage="Load", batches=10, batches_done=2, read=50_000, seconds=4)
    assert state_of(now) == "Load, 2 of 10 batches, 12,500 rows/s, about 16 s left"
    waiting = run("running", stage="Turn", reason="waits for run 12 of jobs")
    assert state_of(waiting) == "Turn, waits for run 12 of jobs"


def test_lines_end_at_line_feeds_only_wherever_blocks_end() -> None:
    assert list(_lines(iter([b"a\rb\xc3", b"\xa4\r\nc", b"d"]))) == ["a\rbä\r\n", "cd"]


def test_options_of_files_become_metadata_that_plan_reads(tmp_path: Path) -> None:
    given = {
        "encoding": "cp1252",
        "delimiter": "\t",
        "header": False,
        "null": ["", "NULL"],
        "name": ["Nr=id"],
        "trim": True,
    }
    found = with_metadata(CsvFormat(), metadata_of({**given, "skip_lines": 2, "extra": "ignore"}))
    assert (found.encoding, found.delimiter, found.header, found.nulls) == ("cp1252", "\t", False, ("", "NULL"))
    assert (dict(found.names), found.trim, found.skip_lines, found.extra) == ({"Nr": "id"}, True, 2, "ignore")


def test_check_reads_a_file_as_its_options_say(tmp_path: Path) -> None:
    path = tmp_path / "departments.csv"
    path.write_bytes("Nr;Bezeichnung\n1;Überseehandel\n2;\n".encode("cp1252"))
    names = ["--name", "Nr=id", "--name", "Bezeichnung=name"]
    assert call("check", str(path)).exit_code == 4
    result = call("check", str(path), "--encoding", "cp1252", "--delimiter", ";", *names)
    assert (result.exit_code, "1 valid, 1 rejected" in result.stdout) == (3, True), result.output
