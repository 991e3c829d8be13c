"""The client against a small real server: what it asks, and what it makes of every sort of answer."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from rowferry.csvfile.dialect import Dialect
from rowferry.declare.catalog import TABLES
from rowferry.errors import ValidatorUnavailable
from rowferry.validate.client import Judged, Validator, ValidatorRefuses
from rowferry.validate.verdict import CHUNK_MEDIA_TYPE, Reject, chunk_answer, validate_bytes

CHUNK = b"1,a\n2,\n"
REJECTED = {"line": 42, "codes": ["missing"], "message": "line 42: name is empty", "fields": ["2", ""]}


@dataclass
class Api:
    """What the server is to answer, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    breaks_off: bool = False


@pytest.fixture
def api(loopback: None) -> Iterator[Api]:
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    yield api
    server.shutdown()
    server.server_close()
    thread.join(5)


def _handler(api: Api) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            api.asked.append((self.path, dict(self.headers), body))
            api.connections.add(self.client_address)
            self.send_response(api.status)
            self.send_header("Content-Length", str(len(api.body) + api.breaks_off))
            if 300 <= api.status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(api.body)
            self.close_connection = api.breaks_off

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def judged(api: Api, dialect: Dialect = Dialect(), token: str = "") -> Judged:  # noqa: B008
    return Validator(api.url + "/", token).judge("departments", CHUNK, dialect, 41)


def answer(read: object = 2, rejects: object = (REJECTED,), rows: str = "41\t1\ta\n") -> bytes:
    return f"{json.dumps({'read': read, 'rejects': rejects})}\n{rows}".encode()


def test_a_chunk_is_posted_with_all_that_it_takes_to_judge_it(api: Api) -> None:
    api.body = answer()
    judged(api, Dialect("\t", ("_", "name", "id")), token="secret")
    ((path, headers, body),) = api.asked
    assert urlsplit(path).path == "/upload_csv"
    assert parse_qs(urlsplit(path).query) == {
        "table": ["departments"],
        "delimiter": ["\t"],
        "columns": ["_,name,id"],
        "first_line": ["41"],
    }
    assert body == CHUNK
    assert headers["Accept"] == CHUNK_MEDIA_TYPE
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Authorization"] == "Bearer secret"


def test_without_columns_or_a_token_none_are_sent(api: Api) -> None:
    api.body = answer()
    judged(api)
    ((path, headers, _),) = api.asked
    assert "columns" not in parse_qs(urlsplit(path).query)
    assert "Authorization" not in headers


def test_the_answer_of_our_own_code_is_understood(api: Api) -> None:
    api.body = chunk_answer(validate_bytes(TABLES["departments"], CHUNK, Dialect(), 41)).encode()
    assert judged(api) == Judged(2, [Reject(42, ("missing",), "line 42: name is empty", ("2", ""))], b"41\t1\ta\n")


def test_chunks_share_one_connection(api: Api) -> None:
    api.body = answer()
    validator = Validator(api.url)
    for _ in range(3):
        validator.judge("departments", CHUNK, Dialect(), 41)
    assert (len(api.asked), len(api.connections)) == (3, 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 401, 408, 425, 429, 301, 307, 204, 201])
def test_an_api_that_is_busy_or_elsewhere_is_tried_again_later(api: Api, status: int) -> None:
    api.status = status
    with pytest.raises(ValidatorUnavailable, match=f"the validator API answered HTTP {status}"):
        judged(api)
    assert len(api.asked) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_an_api_that_refuses_a_chunk_will_refuse_it_again(api: Api, status: int) -> None:
    api.status = status
    api.body = b"1,a"
    with pytest.raises(ValidatorRefuses, match=f"^the validator API refuses a chunk: HTTP {status}$"):
        judged(api)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b"[]",
        b"{}",
        b'{"read": 1}\n',
        b'{"read": 1, "rejects": 7}\n1\t1\ta\n',
        answer(rejects=[{"line": "x"}]),
        answer(rejects=[7]),
        b"\xff\n",
    ],
)
def test_an_answer_without_sense_is_tried_again_later(api: Api, body: bytes) -> None:
    api.body = body
    with pytest.raises(ValidatorUnavailable, match="the validator API's answer makes no sense"):
        judged(api)


@pytest.mark.parametrize(
    "body",
    [
        answer(read=3),
        answer(read=1),
        answer(read="2"),
        answer(rejects=()),
        answer(rows=""),
        answer(rows="41\t1\ta"),
        answer(rows="41\t1\ta\n42"),
    ],
)
def test_an_answer_that_is_not_whole_is_tried_again_later(api: Api, body: bytes) -> None:
    api.body = body
    with pytest.raises(ValidatorUnavailable, match="the validator API's answer is not whole"):
        judged(api)


def test_an_answer_that_breaks_off_is_tried_again_later(api: Api) -> None:
    api.body = answer()
    api.breaks_off = True
    with pytest.raises(ValidatorUnavailable, match="the validator API is out of reach"):
        judged(api)


def test_an_api_that_is_down_is_tried_again_later(loopback: None) -> None:
    with pytest.raises(ValidatorUnavailable, match="the validator API is out of reach: NewConnectionError"):
        Validator("http://127.0.0.1:1").judge("departments", CHUNK, Dialect(), 1)
