"""The pages about tables: what is declared, what was loaded last, backups and restores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api_ec2.console.pages import CheckedForm, go, page
from api_ec2.deps import BucketDep, Session, SettingsDep
from api_ec2.routes import backups as api
from rowferry.backup import export
from rowferry.declare.catalog import TABLES, table_named
from rowferry.declare.definition import TableDefinition
from rowferry.errors import BadRequest, RowferryError
from rowferry.ledger import jobs, search
from rowferry.ledger.jobs import Job
from rowferry.storage.s3 import Bucket

router = APIRouter(include_in_schema=False)
SHOWN_BACKUPS = 20


@dataclass(frozen=True)
class Box:
    """A table in the diagram, in a column to the right of its parents."""

    name: str
    x: int
    y: int


@router.get("/console/tables")
def all_tables(request: Request, conn: Session) -> Response:
    """Every declared table."""
    estimates = search.estimated_rows(conn)
    lines = [
        (table, estimates.get(name), next(iter(search.last_loaded(conn, name, limit=1)), None))
        for name, table in TABLES.items()
    ]
    boxes = _boxes()
    edges = [(boxes[parent], boxes[name]) for name, table in TABLES.items() for parent in _parents(table)]
    return page(request, "tables.html", lines=lines, boxes=list(boxes.values()), edges=edges)


def _parents(table: TableDefinition) -> Sequence[str]:
    return sorted({reference.parent for reference in table.references})


def _boxes() -> Mapping[str, Box]:
    depth, found = dict[str, int](), dict[str, Box]()
    for name, table in TABLES.items():  # parents stand first
        depth[name] = 1 + max((depth[parent] for parent in _parents(table)), default=-1)
        above = sum(1 for box in found.values() if box.x == 20 + depth[name] * 240)
        found[name] = Box(name, 20 + depth[name] * 240, 16 + above * 60)
    return found


@router.get("/console/tables/{table}")
def one_table(
    request: Request, conn: Session, bucket: BucketDep, table: str, job: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """One table with its backups. `job`: a backup or restore that was ordered here."""
    known = table_named(table)
    manifests, problem = _backups(bucket, table)
    ordered = jobs.read(conn, job) if jobs.is_id(job) else None
    return page(
        request,
        "table.html",
        table=known,
        examples={column.name: _example(known, column.name) for column in known.columns},
        parents=_parents(known),
        estimate=search.estimated_rows(conn).get(table),
        runs=search.last_loaded(conn, table, limit=5),
        children=[name for name, other in TABLES.items() if table in _parents(other)],
        backups=manifests,
        problem=problem,
        job=ordered,
        restored=_restored(ordered),
    )


def _example(table: TableDefinition, column: str) -> str:
    """A value as files have it, from the table's class."""
    fields = {field.alias or name: field for name, field in table.model.model_fields.items()}
    field = fields.get(column)
    return str(next(iter(field.examples or ()), "")) if field else ""


def _restored(job: Job | None) -> Sequence[Mapping[str, str]]:
    """What became of each table, or would become of it, with the backup's id."""
    if job is None or job.kind == "backup" or job.status != "done":
        return []
    tables = job.result["restored"]
    return [{"id": str(one["backup"]), "words": _words(one, job.kind == "rehearsal")} for one in tables]


def _words(counts: Mapping[str, Any], dry_run: bool) -> str:
    did = "would be" if dry_run else "were"
    parts = [f"{counts[name]:,} rows {did} {name}" for name in ("inserted", "updated", "deleted") if name in counts]
    return f"{counts['table']}: {', '.join(parts)}; the backup has {counts['rows']:,} rows."


def _backups(bucket: Bucket, table: str) -> tuple[Sequence[Any], str | None]:
    try:
        ids = export.complete(bucket, table)[::-1][:SHOWN_BACKUPS]
        return export.readable(bucket, table, ids)[0], None
    except RowferryError:
        return [], "S3 did not answer, so the backups are not shown."


@router.post("/console/tables/{table}/backup")
def back_up(
    request: Request, conn: Session, settings: SettingsDep, bucket: BucketDep, form: CheckedForm, table: str
) -> Response:
    done = api.back_up(request, Response(), conn, settings, bucket, table, wait=_waits(request))
    return go(f"/console/tables/{table}?job={done.id}")


@router.post("/console/tables/{table}/restore")
def restore_table(
    request: Request, conn: Session, settings: SettingsDep, bucket: BucketDep, form: CheckedForm, table: str
) -> Response:
    """A dry run, unless the form says that its result was seen."""
    dry_run, chosen = form.get("confirmed") != "yes", str(form.get("id", ""))
    if not jobs.is_id(chosen):
        raise BadRequest("no backup was chosen")
    wait = dry_run or _waits(request)
    done = api.restore(request, Response(), conn, settings, bucket, table, chosen, None, None, dry_run, wait)
    return go(f"/console/tables/{table}?job={done.id}")


def _waits(request: Request) -> bool:
    """On Lambda no work goes on after the answer."""
    return request.scope.get("aws.context") is not None
