"""Functions and API come to a server only whose certificate is from the authority that is set and names the host."""

import importlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from local.certificates import make_certificates
from rowferry.config import Settings
from rowferry.errors import DatabaseError, RowferryError, SettingError
from rowferry.storage import mysql
from tests.support.serving import served

ROOT = Path(__file__).parents[3]
SAME_ADDRESS = "127.1"  # 127.0.0.1 by another name, which the certificate does not have


@pytest.fixture(params=["another authority", "RDS's authorities", "another name"])
def refused(request: pytest.FixtureRequest, database: Settings, tmp_path: Path) -> Settings:
    """Settings that do not fit the server's certificate."""
    wrong = {
        "another authority": replace(database, db_tls_ca=str(make_certificates(tmp_path).ca)),
        "RDS's authorities": replace(database, db_tls_ca="rds"),
        "another name": replace(database, db_host=SAME_ADDRESS),
    }
    return wrong[request.param]


def test_the_right_authority_and_name_are_let_in_by_tls(database: Settings) -> None:
    with mysql.session(database) as conn:
        assert mysql.row(conn, "SHOW STATUS LIKE 'Ssl_version'") == {"Variable_name": "Ssl_version", "Value": "TLSv1.3"}
    unchecked = replace(database, db_host=SAME_ADDRESS, db_tls_ca="")
    with mysql.session(unchecked):
        pass  # that name does lead to the server: what is refused below is refused for its name alone


def test_a_session_is_refused(refused: Settings) -> None:
    with pytest.raises(DatabaseError, match="certificate verify failed"):
        mysql.connect(refused)


def test_the_functions_refuse(refused: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("host", "port", "user", "password", "name", "tls_ca"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(refused, f"db_{name}")))
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Rowferry")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tls")  # a logger of its own, bound to this test's stderr
    for module in ("turn", "runtime"):  # with this test's environment
        monkeypatch.delitem(sys.modules, module, raising=False)
    event = json.loads((ROOT / "events/turn.json").read_text())
    answer = importlib.import_module("turn").handle(event, Context())
    assert answer["outcome"] == "failed"
    assert "certificate verify failed" in answer["reason"]


class Context:
    function_name = "turn"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:turn"
    aws_request_id = "8a1d9c6e"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def test_the_api_refuses(refused: Settings) -> None:
    with served(refused) as url:
        answer = httpx.get(url)
    assert answer.status_code == 503
    assert answer.json()["database"] is False


class Plain:
    """A server that says it has no TLS; `heard` is all that a client then sends."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.heard = b""
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        client, _ = self.listening.accept()
        with client:
            salt = b"12345678", b"123456789012\0"
            capabilities = 0x000F_FFFF & ~0x0800  # all that a server has but CLIENT_SSL
            low, high = struct.pack("<H", capabilities & 0xFFFF), struct.pack("<H", capabilities >> 16)
            greeting = b"\x0a8.4.0\0" + struct.pack("<I", 1) + salt[0] + b"\0" + low + b"\xff" + struct.pack("<H", 2)
            greeting += high + b"\x15" + bytes(10) + salt[1] + b"caching_sha2_password\0"
            client.sendall(struct.pack("<I", len(greeting)) + greeting)
            client.settimeout(5)
            self.heard = client.recv(4096)

    def close(self) -> None:
        self.thread.join(10)
        self.listening.close()


@pytest.fixture
def plain() -> Iterator[Plain]:
    server = Plain()
    yield server
    server.close()


def test_a_server_without_tls_is_told_nothing(database: Settings, plain: Plain) -> None:
    port = plain.listening.getsockname()[1]
    with pytest.raises(RowferryError, match="SSL"):
        mysql.connect(replace(database, db_port=port))
    plain.thread.join(10)
    assert plain.heard == b"", "neither a name nor a password went out"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_authorities_is_named(database: Settings, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(SettingError, match=r"DB_TLS_CA: .*ca\.pem is not a file with certificates"):
        mysql.connect(replace(database, db_tls_ca=str(path)))
