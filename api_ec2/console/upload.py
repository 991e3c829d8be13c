"""Uploads by the browser: a file is checked first, and loaded when a person has seen the verdict."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from api_ec2.console.pages import CheckedForm, assert_same_origin, check_csrf, go, page
from api_ec2.console.runs import RunId
from api_ec2.deps import BucketDep, Session
from rowferry import ledger
from rowferry.declare.catalog import TABLES, table_named
from rowferry.errors import BadRequest, Conflict, TooLarge

router = APIRouter(include_in_schema=False)

FILE_BYTES = 50 * 1000**2
"""Larger files are uploaded to the bucket directly. The API on Lambda takes 6 MB, which is Lambda's own limit."""

_FORM_OVERHEAD = 64 * 1024


@router.get("/console/upload")
def form(request: Request) -> Response:
    return page(request, "upload.html", tables=list(TABLES), megabytes=FILE_BYTES // 1000**2)


@router.post("/console/upload")
async def check(request: Request, bucket: BucketDep) -> Response:
    """Puts the file below check/, where a run validates it and writes no row.

    Raises: TooLarge, BadRequest.
    """
    assert_same_origin(request)
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > FILE_BYTES + _FORM_OVERHEAD:
        raise TooLarge(f"the file is larger than {FILE_BYTES} bytes; upload it to raw/ in the bucket")
    async with request.form(max_files=1, max_fields=5) as given:
        check_csrf(request, given)
        file = given.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise BadRequest("no file was chosen")
        key = f"check/{key_of(str(given.get('table', '')), file.filename)}"
        version = await run_in_threadpool(bucket.write_version, key, await file.read())
    return go(f"/console/runs/{ledger.run_id(bucket.name, key, version)}?arriving=true")


def key_of(table: str, name: str) -> str:
    """Where a file of a table is put, below check/ or raw/: its own name, without odd characters.

    Raises: UnknownTable.
    """
    known = table_named(table)
    ending = ".csv.gz" if name.lower().endswith(".gz") else ".csv"
    stem = re.sub(r"(\.csv)?(\.gz)?$", "", name.replace("\\", "/").rpartition("/")[2], flags=re.IGNORECASE)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-_")[:100] or "upload"
    return f"{known.name}/{stem}{ending}"


@router.post("/console/runs/{run}/load")
def load(request: Request, conn: Session, bucket: BucketDep, form: CheckedForm, run: RunId) -> Response:
    """Copies a checked file to raw/, whose run loads it.

    Raises: NotFound, Conflict.
    """
    checked = ledger.read(conn, run)
    if checked.kind != "check" or checked.status != "checked":
        raise Conflict(f"run {run} is no check that has ended")
    with bucket.read(checked.key, checked.version) as fp:
        body = fp.read(FILE_BYTES + 1)
    if len(body) > FILE_BYTES:
        raise TooLarge(f"the file is larger than {FILE_BYTES} bytes; upload it to raw/ in the bucket")
    key = f"raw/{checked.path}"
    version = bucket.write_version(key, body)
    return go(f"/console/runs/{ledger.run_id(bucket.name, key, version)}?arriving=true")
