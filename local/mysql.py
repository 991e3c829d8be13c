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
from contextlib import closing
from pathlib import Path
from typing import Self

import pymysql
from pydantic import BaseModel, ConfigDict

from local.certificates import Certificates, make_certificates
from local.mysqld import IMAGE, Program, find
from local.processes import LocalError, Process, bare_environment, chosen_port, private, spawn, tail, wait_until_ready

DATABASE = USER = "rowferry"
MAX_USER_CONNECTIONS = 30
"""As in the template: whatever runs, the application holds no more than these."""


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
        password, root_password = secrets.token_hex(16), secrets.token_hex(16)
        launch.initialise()
        process = launch.start(first_statements(password, root_password))
        server = cls(
            process=process,
            program=program.name,
            folder=home,
            port=launch.port,
            password=password,
            root_password=root_password,
            ca=launch.certificates.ca,
        )
        wait_until_ready(program.name, process, launch.log, server.answers)
        launch.statements.unlink()
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
            with closing(self.connect()):
                return True
        except pymysql.MySQLError:
            return False

    def connect(self, user: str = USER) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """As the application's user, or as "root" for what only an administrator may do."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user,
            password=self.root_password if user == "root" else self.password,
            database=self.database,
            ssl=ssl.create_default_context(cafile=str(self.ca)),
            connect_timeout=5,
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
            f"--bind-address={'0.0.0.0' if self.program.in_docker else '127.0.0.1'}",
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


def first_statements(password: str, root_password: str) -> str:
    """One statement to a line, as --init-file wants them."""
    account = f"'{USER}'@'%'"
    return "\n".join(
        [
            f"CREATE DATABASE `{DATABASE}` CHARACTER SET utf8mb4;",
            f"CREATE USER {account} IDENTIFIED BY '{password}' REQUIRE SSL "
            f"WITH MAX_USER_CONNECTIONS {MAX_USER_CONNECTIONS};",
            f"GRANT ALL PRIVILEGES ON `{DATABASE}`.* TO {account};",
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{root_password}';",
            "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';",  # MariaDB has it from the start, without a password
            f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{root_password}';",
            "GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
            "",
        ]
    )
