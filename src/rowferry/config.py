"""Settings, read once from an environment that is handed in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from rowferry.errors import SettingError

USER_LETTERS = 32
"""Characters that the name of a MySQL user may have."""

OnConflict = Literal["update", "skip", "reject"]


@dataclass(frozen=True)
class Options:
    """How a run treats its file; frozen in the run's row at its claim.

    chunk_records: records to a chunk, at most 1,000. batch_chunks: chunks to a transaction. on_conflict: what becomes
    of a row whose key is there. max_rejected_percent: above it, nothing of the file is loaded (100: off).
    """

    chunk_records: int = 1_000
    batch_chunks: int = 25
    on_conflict: OnConflict = "update"
    max_rejected_percent: float = 100.0


@dataclass(frozen=True)
class Settings:
    """Where the parts are.

    `db_tls_ca` is the path of a PEM file with the authorities that the server's certificate may come from, or `rds` for
    those that come with this package; empty: no TLS, for a stand-in server without it. `patience`: seconds to
    wait for a connection where all are taken. `migrate_arn`: the state machine, where executions can be started; empty
    where Step Functions is out of reach. `connect_seconds`: how long each answer may take while a session is being
    made, `answer_seconds`: later, of a statement; a database that is silent for longer counts as not available.
    """

    db_host: str
    db_port: int
    db_user: str
    db_password: str = field(repr=False)
    db_name: str
    db_tls_ca: str = ""
    bucket: str = ""
    api_url: str = ""
    api_token: str = field(default="", repr=False)
    options: Options = Options()
    patience: float = 0
    migrate_arn: str = ""
    connect_seconds: float = 10
    answer_seconds: float = 300

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Each field from the variable of its name in capitals.

        Raises: SettingError naming the variable that is missing or makes no sense.
        """
        needed = {"db_host": str, "db_port": int, "db_user": str, "db_password": str, "db_name": str}
        optional = ("db_tls_ca", "bucket", "api_url", "api_token", "migrate_arn")
        values: dict[str, Any] = {name: _value(env, name, read) for name, read in needed.items()}
        values |= {name: env[name.upper()] for name in optional if name.upper() in env}
        return cls(**values, options=_options(env))


@dataclass(frozen=True)
class BootstrapSettings:
    """For making a database ready: the application's own settings, an administrator's, and those of who only reads."""

    app: Settings
    admin_user: str
    admin_password: str = field(repr=False)
    bi_user: str
    bi_password: str = field(repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BootstrapSettings":
        """Raises: SettingError naming the variable that is missing or invalid, before anything is made."""
        names = ("admin_user", "admin_password", "bi_user", "bi_password")
        settings = cls(Settings.from_env(env), **{name: _value(env, name, str) for name in names})
        for variable, user in (("DB_USER", settings.app.db_user), ("BI_USER", settings.bi_user)):
            if len(user) > USER_LETTERS:
                raise SettingError(f"{variable}: {user} has {len(user)} characters; a MySQL user has {USER_LETTERS}")
        if not settings.app.db_tls_ca:
            raise SettingError("DB_TLS_CA is empty, but users that are made here can log in by TLS only")
        return settings


def _options(env: Mapping[str, str]) -> Options:
    readers: dict[str, Callable[[str], Any]] = {
        "batch_chunks": _positive,
        "on_conflict": _on_conflict,
        "max_rejected_percent": _percent,
    }
    given = [option.name for option in fields(Options) if env.get(option.name.upper())]
    return Options(**{name: _value(env, name, readers[name]) for name in given})


def _value(env: Mapping[str, str], name: str, read: Callable[[str], Any]) -> Any:
    variable = name.upper()
    if variable not in env:
        raise SettingError(f"the environment variable {variable} is missing")
    try:
        return read(env[variable])
    except ValueError as error:
        raise SettingError(f"the environment variable {variable} makes no sense: {error}") from None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is below 1")
    return number


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 100:
        raise ValueError(f"{number} is not between 0 and 100")
    return number


def _on_conflict(text: str) -> str:
    if text not in get_args(OnConflict):
        raise ValueError(f"{text!r} is not one of {', '.join(get_args(OnConflict))}")
    return text
