"""`rowferry check`: the verdict on files without any stack, by the code that a run uses."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import typer

from cli.load import Files, TableOption
from cli.local_copy import as_a_run_reads_it
from cli.options import shared
from cli.output import LOADED, REFUSED, USAGE, WITH_REJECTS, CommandError, Output

LIMIT = 100


def check(
    context: typer.Context,
    files: Files,
    table: TableOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Findings that are shown of each file.")] = LIMIT,
) -> None:
    """Check files on this machine: no stack, no AWS, nothing is sent.

    All findings are shown at once. What needs the database is not looked at: whether parents are there, and whether
    keys are there already. `rowferry load --dry-run` looks at these too.

    Examples:

      rowferry check departments.csv

      rowferry check --table hired_employees export.csv --json
    """
    output = shared(context).output
    metadata = context.meta.get("metadata", {})
    raise typer.Exit(max(_check(path, _table_of(path, table), metadata, output, limit) for path in files))


def _table_of(path: Path, name: str | None) -> str:
    from rowferry.declare.catalog import TABLES, table_of_path

    if not path.is_file():
        raise CommandError(f"{path}: there is no such file", USAGE)
    found = TABLES.get(name) if name else table_of_path(path.name)
    if found is None:
        words = f"there is no table {name}" if name else f"{path.name} names no table: add --table NAME"
        raise CommandError(f"{words}; the tables are {', '.join(TABLES)}", USAGE)
    return found.name


def _check(path: Path, table: str, metadata: Mapping[str, str], output: Output, limit: int) -> int:
    from rowferry.errors import BadRequest, Refused
    from rowferry.validate.whole_file import validate_file

    try:
        with _opened(path) as plain, as_a_run_reads_it(plain, table, metadata, _is_packed(path)) as (fp, wanted):
            read = rejected = 0
            by_code = dict[str, int]()
            for verdict in validate_file(table, fp, cast(Any, wanted)):
                read += verdict.read
                for reject in verdict.rejects:
                    rejected += 1
                    for code in reject.codes:
                        by_code[code] = by_code.get(code, 0) + 1
                    if rejected <= limit:
                        found = {"line": reject.line, "codes": list(reject.codes), "message": reject.message}
                        output.emit({"file": str(path), "finding": "reject", **found})
                        output.say(f"{path}: {reject.message}")
    except (Refused, BadRequest) as refusal:
        code = getattr(refusal, "code", "bad_request")
        output.emit({"file": str(path), "finding": "refusal", "code": code, "message": str(refusal)})
        output.say(f"{path}: the whole file would be refused: {code}: {refusal}", "red")
        return REFUSED
    _conclude(path, table, read, by_code, rejected, output, limit)
    return WITH_REJECTS if rejected else LOADED


def _conclude(
    path: Path, table: str, read: int, by_code: dict[str, int], rejected: int, output: Output, limit: int
) -> None:
    counts = {"read": read, "valid": read - rejected, "rejected": rejected, "rejected_by_code": by_code}
    output.emit({"file": str(path), "finding": "total", "table": table, **counts})
    if rejected > limit:
        output.say(f"{path}: {rejected - limit:,} more rejects: --limit")
    style = "yellow" if rejected else "green"
    output.say(f"{path}: {read:,} records for {table}, {read - rejected:,} valid, {rejected:,} rejected", style)


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, inflated where it is a .gz; it can be read from any place."""
    from rowferry.errors import Refused

    if not _is_packed(path):
        with path.open("rb") as fp:
            yield fp
        return
    with gzip.open(path) as packed, tempfile.TemporaryFile() as plain:
        try:
            while block := packed.read(1024 * 1024):
                plain.write(block)
        except (EOFError, OSError, zlib.error) as error:
            raise Refused("not_gzip", "the file is called .gz and can't be inflated: it is none, or damaged") from error
        plain.seek(0)
        yield cast(BinaryIO, plain)
