"""POST /upload_csv: the verdict on up to 1,000 records. Nothing is written."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile

from api_ec2.deps import Problem
from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.records import CHUNK_BYTES, CHUNK_RECORDS
from rowferry.declare.catalog import TABLES, table_named
from rowferry.declare.definition import TableDefinition
from rowferry.errors import BadRequest, Refused, TooLarge
from rowferry.validate.reading import ChunkFormat
from rowferry.validate.verdict import CHUNK_MEDIA_TYPE, Reject, Validated, chunk_answer, validate_bytes

router = APIRouter(tags=["validation"])
_CURL = "curl -d removes all line ends: send a file with --data-binary @file.csv -H 'Content-Type: text/csv'"
_FORM_OVERHEAD = 64 * 1024  # bytes of a multipart body around its file

_EXAMPLE_CSV = "4535,Marcelo Gonzalez,2021-07-27T16:02:08Z,1,2\n4572,Lidia Mendez,2021-07-27T19:04:09Z,1,\n"


class Verdict(BaseModel):
    """The result for each record: `rows` as a run would load them, `rejects` with what is wrong."""

    table: str
    read: int
    valid: int
    rejected: int
    rows: Sequence[dict[str, str | int | float]]
    rejects: Sequence[Reject]

    model_config = {
        "json_schema_extra": {
            "example": {
                "table": "hired_employees",
                "read": 2,
                "valid": 1,
                "rejected": 1,
                "rows": [
                    {
                        "id": 4535,
                        "name": "Marcelo Gonzalez",
                        "datetime": "2021-07-27T16:02:08Z",
                        "department_id": 1,
                        "job_id": 2,
                    }
                ],
                "rejects": [
                    {
                        "line": 2,
                        "codes": ["missing"],
                        "message": "line 2: job_id is empty",
                        "fields": ["4572", "Lidia Mendez", "2021-07-27T19:04:09Z", "1", ""],
                        "raw": None,
                    }
                ],
            }
        }
    }


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": _EXAMPLE_CSV},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
                }
            },
        },
    }
}


@router.post(
    "/upload_csv",
    openapi_extra=_BODY,
    response_model=Verdict,
    responses={
        200: {"content": {CHUNK_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        400: {"description": "The form can't be read or has too many fields"},
        404: {"description": "Unknown table; the answer names the known tables"},
        413: {"description": f"More than {CHUNK_RECORDS} records or {CHUNK_BYTES} bytes; nothing was validated"},
        422: {"model": Problem, "description": "Not CSV text, other columns than the table's, or a wrong parameter"},
    },
)
async def upload_csv(
    request: Request,
    table: Annotated[str, Query(description="One of the tables", json_schema_extra={"enum": list(TABLES)})],
    delimiter: Annotated[
        str | None,
        Query(
            pattern=r"^[!-/:-@\[-`{-~\t a-zA-Z0-9]$",
            description="For a chunk from the middle of a file. If not given, delimiter and header are detected",
        ),
    ] = None,
    columns: Annotated[str, Query(description="The chunk's columns, separated by commas; default: the table's")] = "",
    format_: Annotated[
        str, Query(alias="format", description="The chunk's format as JSON: header, nulls, decimal, thousands, trim")
    ] = "",
    first_line: Annotated[int, Query(ge=1, le=2**53, description="The chunk's first line in its file")] = 1,
) -> Response:
    """Validates up to 1,000 records and returns them as a run would load them. More records get 413, never a part."""
    known = table_named(table)
    body = await _body(request)
    dialect = _dialect(delimiter, columns, format_) if delimiter else None
    validated = _validated(known, body, dialect, first_line)
    if CHUNK_MEDIA_TYPE in request.headers.get("accept", ""):
        return Response(chunk_answer(validated), media_type=CHUNK_MEDIA_TYPE)
    return JSONResponse(_verdict(validated).model_dump(mode="json"))


def _dialect(delimiter: str, columns: str, given: str) -> Dialect:
    """Raises: BadRequest where the format can't be read."""
    try:
        chunk_format = ChunkFormat.model_validate_json(given or "{}")
        wanted = chunk_format.as_csv_format()
    except ValueError as error:
        raise BadRequest("format must be JSON with header, nulls, decimal, thousands and trim") from error
    names = tuple(columns.split(",")) if columns else ()
    return Dialect(delimiter, names, chunk_format.header, wanted)


def _validated(table: TableDefinition, body: bytes, dialect: Dialect | None, first_line: int) -> Validated:
    try:
        return validate_bytes(table, body, dialect, first_line)
    except (BadRequest, Refused) as error:
        if b"\n" in body or b"\r" in body or isinstance(error, TooLarge):
            raise
        raise BadRequest(f"{error}. The body has no line end; {_CURL}") from error


def _verdict(validated: Validated) -> Verdict:
    return Verdict(
        table=validated.table.name,
        read=validated.read,
        valid=len(validated.lines),
        rejected=len(validated.rejects),
        rows=list(validated.rows()),
        rejects=validated.rejects,
    )


async def _body(request: Request) -> bytes:
    """Raises: TooLarge before more than the limit is in memory, BadRequest."""
    name, options = parse_options_header(request.headers.get("content-type", ""))
    kind = name.decode(errors="replace")
    charset = options.get(b"charset", b"utf-8").decode(errors="replace")
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise BadRequest(f"the header Content-Type says that the body is in {charset}; send UTF-8")
    if kind == "multipart/form-data":
        return await _file(request)
    if kind == "application/x-www-form-urlencoded":
        raise BadRequest(f"the body is {kind}, which is what curl -d sends; {_CURL}")
    if kind not in ("text/csv", "text/plain", "application/octet-stream", ""):
        raise BadRequest(f"the body is {kind}; send text/csv, or a file as multipart/form-data")
    body = await _bounded(request, CHUNK_BYTES)
    if not body:
        raise BadRequest("the body is empty; send CSV text")
    return body


async def _bounded(request: Request, bound: int) -> bytes:
    if int(request.headers.get("content-length") or 0) > bound:
        raise TooLarge(f"the body is larger than {bound} bytes; nothing was validated")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bound:
            raise TooLarge(f"the body is larger than {bound} bytes; nothing was validated")
    return bytes(body)


async def _file(request: Request) -> bytes:
    whole = await _bounded(request, CHUNK_BYTES + _FORM_OVERHEAD)
    async with Request(request.scope, _replay(whole)).form(max_files=1, max_fields=10) as form:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise BadRequest("the form must have exactly one file")
        return await files[0].read()


def _replay(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
