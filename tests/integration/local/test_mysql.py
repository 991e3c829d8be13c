import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pymysql
import pytest

from local.mysql import MySQLServer
from local.processes import LocalError, chosen_port
from rowferry.setup.bootstrap import APP_CONNECTIONS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    with MySQLServer.start(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_it_is_mysql_and_speaks_utc_and_utf8(server: MySQLServer) -> None:
    with closing(server.connect()) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT @@version_comment, @@global.time_zone, @@character_set_server, @@local_infile")
        comment, zone, charset, local_infile = cursor.fetchone() or ()
    assert "MariaDB" not in comment
    assert (zone, charset, local_infile) == ("+00:00", "utf8mb4", 1)


def test_a_session_is_encrypted_and_the_certificate_names_the_address(server: MySQLServer) -> None:
    with closing(server.connect()) as conn, conn.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert (cursor.fetchone() or ("", ""))[1]
    strict = ssl.create_default_context(cafile=str(server.ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password, ssl=strict).close()


def test_an_unencrypted_session_is_refused(server: MySQLServer) -> None:
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, ssl_disabled=True
        )


def test_the_users_connections_are_bounded(server: MySQLServer) -> None:
    with ExitStack() as open_ones:
        for _ in range(APP_CONNECTIONS):
            open_ones.enter_context(closing(server.connect()))
        with pytest.raises(pymysql.MySQLError, match="1226"):
            server.connect()


def test_the_application_has_rights_on_its_own_database_only(server: MySQLServer) -> None:
    with (
        closing(server.connect()) as conn,
        conn.cursor() as cursor,
        pytest.raises(pymysql.MySQLError, match="denied"),
    ):
        cursor.execute("SELECT * FROM mysql.user")


def test_the_administrator_has_a_password(server: MySQLServer) -> None:
    server.connect("root").close()
    with pytest.raises(pymysql.MySQLError, match="denied"):
        server.model_copy(update={"root_password": ""}).connect("root")


def test_two_servers_run_side_by_side_and_stop_clean(server: MySQLServer, tmp_path: Path) -> None:
    with MySQLServer.start(tmp_path) as other:
        assert other.port != server.port
        assert other.answers()
        assert server.answers()
    assert not other.process.alive()
    assert not other.answers()


def test_a_chosen_port_that_is_taken_is_told(server: MySQLServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWFERRY_MYSQL_PORT", str(server.port))
    with pytest.raises(LocalError, match=f"ROWFERRY_MYSQL_PORT={server.port}"):
        chosen_port("ROWFERRY_MYSQL_PORT")
