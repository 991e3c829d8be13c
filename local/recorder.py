"""What the stack's functions ask of AWS, written down on its way to the emulator.

with Recorder(emulator) as recorder:
    recorder.point_functions(bucket)   # from here on their calls come by
    …
    recorder.calls
"""

import http.client
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3

from local.emulator import Emulator

OURS = "BUCKET"
"""A variable that every function of our template has."""
_HOP = {"connection", "transfer-encoding", "content-length", "expect", "keep-alive"}


@dataclass(frozen=True)
class Call:
    """One request to S3. `query` and `headers` in lower case; `sent` and `got` in bytes of bodies."""

    function: str
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int = 0
    sent: int = 0
    got: int = 0

    @property
    def operation(self) -> str:
        """As the S3 API calls it.

        Raises: LookupError for one that has no name here yet.
        """
        copies = "x-amz-copy-source" in self.headers
        for method, parameter, copying, name in _OPERATIONS:
            of_object = name not in _OF_A_BUCKET
            if (self.method, copies, bool(self.key)) == (method, copying, of_object) and (
                not parameter or parameter in self.query
            ):
                return name
        raise LookupError(f"{self.method} {self.bucket}/{self.key} {dict(self.query)} is an operation without a name")

    @property
    def source(self) -> tuple[str, bool] | None:
        """Of a copy: the key that it copies, and whether a version is named."""
        found = self.headers.get("x-amz-copy-source")
        if not found:
            return None
        path, _, version = found.partition("?versionId=")
        return unquote(path).lstrip("/").partition("/")[2], bool(version)


_OF_A_BUCKET = {"ListObjectVersions", "ListObjectsV2", "ListMultipartUploads"}
_OPERATIONS = (  # method, query parameter, whether it copies, name; the first that fits
    ("GET", "versions", False, "ListObjectVersions"),
    ("GET", "list-type", False, "ListObjectsV2"),
    ("GET", "uploads", False, "ListMultipartUploads"),
    ("GET", "tagging", False, "GetObjectTagging"),
    ("PUT", "tagging", False, "PutObjectTagging"),
    ("POST", "uploads", False, "CreateMultipartUpload"),
    ("PUT", "partnumber", False, "UploadPart"),
    ("PUT", "partnumber", True, "UploadPartCopy"),
    ("POST", "uploadid", False, "CompleteMultipartUpload"),
    ("DELETE", "uploadid", False, "AbortMultipartUpload"),
    ("GET", "", False, "GetObject"),
    ("HEAD", "", False, "HeadObject"),
    ("PUT", "", False, "PutObject"),
    ("PUT", "", True, "CopyObject"),
    ("DELETE", "", False, "DeleteObject"),
)


def read_call(method: str, target: str, headers: Mapping[str, str]) -> Call:
    """Of a path-style request. The function is the application's name in its User-Agent."""
    lower = {name.lower(): value for name, value in headers.items()}
    url = urlsplit(target)
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    query = {name.lower(): value for name, value in parse_qsl(url.query, keep_blank_values=True)}
    who = re.search(r"\bapp/(\w+)", lower.get("user-agent", ""))
    return Call(who[1] if who else "", method, bucket, key, query, lower)


@dataclass
class Recorder:
    """A proxy before the emulator, on a port of its own."""

    emulator: Emulator
    calls: list[Call] = field(default_factory=list)
    refuses: Callable[[Call], bool] = lambda _: False
    """Answered by 503 instead of being passed on."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"recorded": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, function: str) -> dict[str, str]:
        """For a process whose calls are to be this function's."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_SDK_UA_APP_ID": function}

    def point_functions(self, bucket: str) -> None:
        """From now on the calls of a stack's functions, known by its bucket, come by."""
        client = boto3.client("lambda", **self.emulator.client_options())
        for page in client.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                kept = function.get("Environment", {}).get("Variables", {})
                if kept.get(OURS) == bucket:
                    changed = kept | self.environment(logical(function["FunctionName"]))
                    client.update_function_configuration(
                        FunctionName=function["FunctionName"], Environment={"Variables": changed}
                    )
        client.close()


def logical(name: str) -> str:
    """A function's name in the template: a deployed one is called STACK-NAME-RANDOM."""
    found = re.search(r"-(\w+Function)-\w+$", name)
    if not found:
        raise LookupError(f"{name} is not named as CloudFormation names the template's functions")
    return found[1]


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on, whole, and writes it down when it is answered."""

    recorded: Recorder
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self._body()
        call = read_call(self.command, self.path, dict(self.headers))
        if self.recorded.refuses(call):
            self.recorded.calls.append(call)
            self.send_response_only(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        back = http.client.HTTPConnection("127.0.0.1", self.recorded.emulator.port, timeout=120)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            back.request(self.command, self.path, body, kept | {"Content-Length": str(len(body))})
            response = back.getresponse()
            answer = response.read()
            self._answer(response, answer)
        finally:
            back.close()
        seen = vars(call) | {"status": response.status, "sent": len(body), "got": len(answer)}
        self.recorded.calls.append(Call(**seen))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = list[bytes]()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        if response.status != 204:
            self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
