"""A private MySQL server: own data, own port on 127.0.0.1, own passwords, TLS only, durable as InnoDB is by default.

with MySQLServer.start(folder) as server:
    pymysql.connect(host=server.host, port=server.port, …)
"""

import os
import pwd
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Self

import pymysql
from pydantic import BaseModel, ConfigDict

from local.certificates import Certificates, make_certificates
from local.mysqld import IMAGE, Program, find
from local.processes import LocalError, Process, bare_environment, chosen_port, private, spawn, tail, wait_until_ready
from rowferry.config import BootstrapSettings, Settings
from rowferry.storage import mysql

DATABASE = USER = "rowferry"
ADMIN = "rowferry_admin"
BI_USER = "rowferry_bi"
MASTER_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES,"
    " CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW,"
    " CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE ROLE, DROP ROLE, APPLICATION_PASSWORD_ADMIN,"
    " ROLE_ADMIN, XA_RECOVER_ADMIN"
)
"""What the RDS User Guide lists under "Master user account privileges", but SET_USER_ID, which 8.4 has no more."""


class MySQLServer(BaseModel):
    """A running server and how to reach it."""

    model_config = ConfigDict(frozen=True)

    process: Process
    program: str
    folder: Path
    host: str = "127.0.0.1"
    port: int
    user: str = USER
    password: str
    admin_password: str
    bi_password: str
    root_password: str
    database: str = DATABASE
    ca: Path
    """PEM of the authority that signed the server's certificate, which is for 127.0.0.1."""

    @classmethod
    def start(cls, folder: Path, program: Program | None = None, port: int | None = None) -> Self:
        """Starts one on fresh data under folder/mysql, which is emptied first. About five seconds.

        As root the server runs as another user where that user can reach the folder and the program, otherwise as root.
        """
        program = program or find()
        home = folder.resolve() / "mysql"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        launch = Launch(program, home, port or chosen_port("ROWFERRY_MYSQL_PORT"), make_certificates(home))
        words = {name: secrets.token_hex(16) for name in PASSWORDS}
        launch.initialise()
        process = launch.start(first_statements(program, words))
        port, ca = launch.port, launch.certificates.ca
        server = cls(process=process, program=program.name, folder=home, port=port, ca=ca, **words)
        wait_until_ready(program.name, process, launch.log, server.answers)
        launch.statements.unlink()
        server.make_ready()
        return server

    def start_again(self) -> Self:
        """A server on the data that this one left, however it ended: same port, same passwords."""
        found = find(allow_stand_in=True)
        tls = Certificates(self.ca, self.ca.with_name("server.pem"), self.ca.with_name("server-key.pem"))
        launch = Launch(found, self.folder, self.port, tls)
        process = spawn(launch.command(*launch.server_options()), launch.log, bare_environment(), self.folder)
        server = self.model_copy(update={"process": process})
        wait_until_ready(self.program, process, launch.log, server.answers)
        return server

    def answers(self) -> bool:
        try:
            with closing(self.connect("root", read_timeout=5)):
                return True
        except pymysql.MySQLError:
            return False

    def make_ready(self) -> None:
        """Users, rights and tables as on RDS, by the same code. A stand-in has another way to change passwords.

        Only this needs tables.py to be right. Raises: LocalError where a table is not what its class declares.
        """
        from rowferry.setup import tables
        from rowferry.setup.bootstrap import TablesDiffer, bootstrap

        if self.program.startswith("MariaDB"):
            with mysql.session(Settings.from_env(self.environment())) as conn:
                tables.create(conn)
        else:
            try:
                bootstrap(BootstrapSettings.from_env(self.environment() | self.admin_environment()))
            except TablesDiffer as error:
                raise LocalError(f"{error}; change the table in the database, or the class in tables.py") from error

    def connect(
        self, user: str = USER, read_timeout: float | None = None
    ) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """As the application's user, as the administrator that an RDS instance has, as who only reads, or as "root".

        `read_timeout`: seconds that each answer may take, the login's too; None for no end.
        """
        passwords = {
            USER: self.password,
            ADMIN: self.admin_password,
            BI_USER: self.bi_password,
            "root": self.root_password,
        }
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user,
            password=passwords[user],
            database=self.database,
            ssl=ssl.create_default_context(cafile=str(self.ca)),
            connect_timeout=5,
            read_timeout=read_timeout,
        )

    def environment(self) -> dict[str, str]:
        """The application's own names, as the API and the functions read them."""
        return {
            "DB_HOST": self.host,
            "DB_PORT": str(self.port),
            "DB_USER": self.user,
            "DB_PASSWORD": self.password,
            "DB_NAME": self.database,
            "DB_TLS_CA": str(self.ca),
        }

    def admin_environment(self) -> dict[str, str]:
        """What the bootstrap reads beside it."""
        return {
            "ADMIN_USER": ADMIN,
            "ADMIN_PASSWORD": self.admin_password,
            "BI_USER": BI_USER,
            "BI_PASSWORD": self.bi_password,
        }

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Launch:
    """One start of a server program on one folder."""

    def __init__(self, program: Program, home: Path, port: int, certificates: Certificates) -> None:
        self.program = program
        self.home = home
        self.port = port
        self.certificates = certificates
        self.data = home / "data"
        self.log = home / "server.log"
        self.first_log = home / "initialise.log"
        self.statements = home / "first.sql"
        self.run_as = other_user(home, Path(program.command[-1])) if os.geteuid() == 0 else None

    def initialise(self) -> None:
        self.data.mkdir(mode=0o700)
        self.hand_over(self.home, self.data, self.certificates.key)
        with private(self.first_log) as output:
            done = subprocess.run(self.first_command(), stdout=output, stderr=output, check=False)
        if done.returncode:
            raise LocalError(f"{self.program.name} could not make its data in {self.data}:\n{tail(self.first_log)}")

    def first_command(self) -> list[str]:
        if not self.program.is_mariadb:
            return self.command("--initialize-insecure")
        folder = Path(self.program.command[0]).resolve().parent
        search = os.pathsep.join([str(folder), str(folder.parent / "bin"), os.environ.get("PATH", "")])
        tool = shutil.which("mariadb-install-db", path=search) or "mariadb-install-db"
        plain = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        return [tool, "--no-defaults", f"--datadir={self.data}", *plain, *self.user_option()]

    def start(self, statements: str) -> Process:
        """The server carries out the statements before it listens, so nobody ever meets it without passwords."""
        self.statements.touch(mode=0o600)
        self.statements.write_text(statements)
        self.hand_over(self.statements)
        command = self.command(f"--init-file={self.statements}", *self.server_options())
        return spawn(command, self.log, bare_environment(), self.home)

    def command(self, *options: str) -> list[str]:
        prefix = self.docker_command() if self.program.in_docker else self.program.command
        common = [*self.program.options, f"--datadir={self.data}", *self.user_option()]
        return [*prefix, "--no-defaults", *common, *options]

    def docker_command(self) -> list[str]:
        owner = f"{self.run_as.pw_uid}:{self.run_as.pw_gid}" if self.run_as else f"{os.geteuid()}:{os.getegid()}"
        port = f"127.0.0.1:{self.port}:{self.port}"
        place = ["--volume", f"{self.home}:{self.home}", "--user", owner, "--publish", port]
        return [*self.program.command, *place, "--entrypoint", "mysqld", IMAGE]

    def server_options(self) -> list[str]:
        tls = self.certificates
        options = [
            f"--port={self.port}",
            f"--bind-address={'0.0.0.0' if self.program.in_docker else '127.0.0.1'}",  # noqa: S104 (in its container)
            "--socket=server.sock",  # in the data folder; an absolute path may be too long for a socket
            f"--pid-file={self.data / 'server.pid'}",
            f"--ssl-ca={tls.ca}",
            f"--ssl-cert={tls.certificate}",
            f"--ssl-key={tls.key}",
            "--require-secure-transport=ON",
            "--local-infile=1",
            "--secure-file-priv=" + ("" if self.program.is_mariadb else "NULL"),
            "--default-time-zone=+00:00",
            "--character-set-server=utf8mb4",
            "--skip-name-resolve",
            "--skip-log-bin",  # as RDS without backups; all of InnoDB's durability stays on
            "--innodb-buffer-pool-size=256M",  # a million rows fit; the smallest RDS instance has more
        ]
        return options if self.program.is_mariadb else [*options, "--mysqlx=OFF"]

    def user_option(self) -> list[str]:
        if os.geteuid() != 0 or (self.run_as and self.program.in_docker):  # there, Docker changes the user
            return []
        return [f"--user={self.run_as.pw_name if self.run_as else 'root'}"]

    def hand_over(self, *paths: Path) -> None:
        for path in paths:
            if self.run_as:
                os.chown(path, self.run_as.pw_uid, self.run_as.pw_gid)


def other_user(*paths: Path) -> pwd.struct_passwd | None:
    """A user without rights who can reach these; None where a folder above one of them is closed to others."""
    if not all(parent.stat().st_mode & 0o001 for path in paths for parent in path.parents):
        return None
    for name in ("mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


PASSWORDS = ("password", "admin_password", "bi_password", "root_password")


def first_statements(program: Program, words: Mapping[str, str]) -> str:
    """One statement to a line, as --init-file wants them. On MySQL everything else is the bootstrap's."""
    database, account, admin = f"`{DATABASE}`", f"'{USER}'@'%'", f"'{ADMIN}'@'%'"
    from rowferry.setup.bootstrap import APP_CONNECTIONS

    stand_in = [
        f"CREATE USER {account} IDENTIFIED BY '{words['password']}' REQUIRE SSL"
        f" WITH MAX_USER_CONNECTIONS {APP_CONNECTIONS};",
        f"GRANT ALL PRIVILEGES ON {database}.* TO {account};",
    ]
    real = [
        f"CREATE USER {admin} IDENTIFIED BY '{words['admin_password']}' REQUIRE SSL;",
        f"GRANT {MASTER_RIGHTS} ON *.* TO {admin} WITH GRANT OPTION;",
    ]
    return "\n".join(
        [
            f"CREATE DATABASE {database} CHARACTER SET utf8mb4;",
            *(stand_in if program.is_mariadb else real),
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{words['root_password']}';",
            "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';",  # MariaDB has it from the start, without a password
            f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{words['root_password']}';",
            "GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
            "",
        ]
    )
