"""What CredentialsFunction speaks with: CloudFormation, Secrets Manager, and Lambda, which calls a real function."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.functions import Context


class Cloud:
    """`answers`: what CloudFormation was told. `secrets`: by ARN. `function`: who is called, and `calls` what with.

    `not_ready`: errors that Lambda answers to the next calls, instead of calling the function. `denied`: so many of the
    next requests for a secret are refused for want of a right.
    """

    def __init__(self, secrets: dict[str, str], function: Callable[[Any, Any], Any]) -> None:
        self.answers: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.calls: list[dict[str, Any]] = []
        self.not_ready: list[str] = []
        self.denied = 0
        self.secrets = secrets
        self.function = function
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.answers.append(self.body())
                self.answer(200, b"")

            def do_POST(self) -> None:
                if self.path == "/":
                    assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
                    self.answer(*outer.secret(self.body()["SecretId"]))
                else:
                    if self.path != "/2015-03-31/functions/the-bootstrap/invocations":
                        self.answer(404, b'{"Message": "no such function"}')
                        return
                    assert "X-Amz-Invocation-Type" not in self.headers, "it waits for the answer"
                    event = self.body()
                    if outer.not_ready:
                        self.answer(409, b'{"Message": "not now"}', X_Amzn_Errortype=outer.not_ready.pop(0))
                        return
                    status, body, headers = outer.invoked(event)
                    self.answer(status, body, **headers)

            def body(self) -> Any:
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def secret(self, arn: str) -> tuple[int, bytes]:
        if self.denied:
            self.denied -= 1
            return 400, json.dumps({"__type": "AccessDeniedException", "message": "not authorized"}).encode()
        if arn not in self.secrets:
            return 400, json.dumps({"__type": "ResourceNotFoundException", "message": "no such secret"}).encode()
        return 200, json.dumps({"ARN": arn, "SecretString": self.secrets[arn]}).encode()

    def invoked(self, event: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        """An exception comes back as Lambda gives it: with a header, and its name and text as the answer."""
        self.calls.append(event)
        try:
            return 200, json.dumps(self.function(event, Context(seconds=61))).encode(), {}
        except Exception as error:  # whatever a function raises
            body = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}
            return 200, json.dumps(body).encode(), {"X_Amz_Function_Error": "Unhandled"}

    def __enter__(self) -> "Cloud":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
