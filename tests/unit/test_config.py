import pytest

from rowferry.config import Options, Settings
from rowferry.errors import SettingError

NEEDED = {"DB_HOST": "db", "DB_PORT": "3306", "DB_USER": "app", "DB_PASSWORD": "secret", "DB_NAME": "company"}


def test_each_field_comes_from_the_variable_of_its_name() -> None:
    env = NEEDED | {
        "DB_TLS_CA": "/ca.pem",
        "BUCKET": "files",
        "API_URL": "http://api",
        "API_TOKEN": "token",
        "BATCH_CHUNKS": "7",
        "ON_CONFLICT": "skip",
        "MAX_REJECTED_PERCENT": "2.5",
        "PATH": "/bin",
    }
    options = Options(batch_chunks=7, on_conflict="skip", max_rejected_percent=2.5)
    assert Settings.from_env(env) == Settings(
        "db", 3306, "app", "secret", "company", "/ca.pem", "files", "http://api", "token", options
    )


def test_what_is_not_needed_has_its_default() -> None:
    settings = Settings.from_env(NEEDED | {"ON_CONFLICT": "", "BATCH_CHUNKS": ""})
    assert settings == Settings("db", 3306, "app", "secret", "company")
    assert settings.options == Options(batch_chunks=25, on_conflict="update", max_rejected_percent=100.0)


@pytest.mark.parametrize("variable", NEEDED)
def test_a_missing_variable_is_named(variable: str) -> None:
    env = {name: text for name, text in NEEDED.items() if name != variable}
    with pytest.raises(SettingError, match=f"the environment variable {variable} is missing"):
        Settings.from_env(env)


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("DB_PORT", "x", "invalid literal for int"),
        ("BATCH_CHUNKS", "0", "0 is below 1"),
        ("BATCH_CHUNKS", "2.5", "invalid literal for int"),
        ("ON_CONFLICT", "replace", "'replace' is not one of update, skip, reject"),
        ("ON_CONFLICT", "UPDATE", "'UPDATE' is not one of update, skip, reject"),
        ("MAX_REJECTED_PERCENT", "101", "101.0 is not between 0 and 100"),
        ("MAX_REJECTED_PERCENT", "-1", "-1.0 is not between 0 and 100"),
        ("MAX_REJECTED_PERCENT", "nan", "nan is not between 0 and 100"),
        ("MAX_REJECTED_PERCENT", "5%", "could not convert string to float"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_with_the_reason(variable: str, text: str, words: str) -> None:
    with pytest.raises(SettingError, match=f"the environment variable {variable} makes no sense: {words}"):
        Settings.from_env(NEEDED | {variable: text})


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings.from_env(NEEDED | {"API_TOKEN": "token-1"}))
    assert "secret" not in shown
    assert "token-1" not in shown
