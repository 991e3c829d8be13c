"""Puts files where a stack takes them, and says which run each will be."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from cli.output import USAGE, CommandError
from cli.stack import Stack, words

AT_ONCE = 4
ENDINGS = (".csv.gz", ".csv")


@dataclass(frozen=True)
class Wanted:
    """A file and the key that it is uploaded to."""

    path: Path
    key: str


@dataclass(frozen=True)
class Uploaded:
    path: Path
    key: str
    version: str
    run: str


def keys_of(paths: Sequence[Path], table: str | None, check: bool) -> list[Wanted]:
    """Raises: CommandError for a file that is not there, that names no table, or whose key another one has."""
    place = "check" if check else "raw"
    wanted = [Wanted(path, f"{place}/{_name(path, table)}") for path in paths]
    keys = [one.key for one in wanted]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise CommandError(f"{twice[0]} would be uploaded twice: rename one of the files", USAGE)
    return wanted


def _name(path: Path, table: str | None) -> str:
    if not path.is_file():
        raise CommandError(f"{path}: {'a folder, not a file' if path.is_dir() else 'there is no such file'}", USAGE)
    lower = path.name.lower()
    ending = next((ending for ending in ENDINGS if lower.endswith(ending)), None)
    if table is None:
        _assert_names_table(path)
        return path.name
    stem = path.name[: -len(ending)] if ending else path.name
    return f"{table}/{stem}{ending or '.csv'}"


def _assert_names_table(path: Path) -> None:
    from rowferry.declare.catalog import TABLES, table_of_path

    if table_of_path(path.name) is None:
        tables = ", ".join(TABLES)
        raise CommandError(
            f"{path.name} names no table: add --table NAME (one of {tables}), or call the file "
            "TABLE.csv or TABLE-anything.csv",
            USAGE,
        )


def upload(
    stack: Stack, wanted: Sequence[Wanted], metadata: Mapping[str, str], sent: Callable[[Wanted, int], None]
) -> list[Uploaded]:
    """Uploads several files at a time. `sent` is called with each file and how many more bytes of it have been sent.

    Raises: CommandError.
    """
    stack.s3  # noqa: B018 (made before threads ask for it)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: _upload(stack, one, metadata, sent), wanted))


def _upload(stack: Stack, one: Wanted, metadata: Mapping[str, str], sent: Callable[[Wanted, int], None]) -> Uploaded:
    from rowferry.ledger import run_id

    try:
        stack.s3.upload_file(
            str(one.path),
            stack.bucket,
            one.key,
            ExtraArgs={"Metadata": dict(metadata)},
            Callback=lambda size: sent(one, size),
        )
        # the newest version is this one: nobody else uploads under this key at the same moment
        listed = stack.s3.list_object_versions(Bucket=stack.bucket, Prefix=one.key, MaxKeys=1)
    except (ClientError, BotoCoreError) as error:
        raise CommandError(f"{one.path}: not uploaded: {words(error)}") from error
    except Exception as error:  # boto3's transfer wraps errors in a class of its own
        if type(error).__name__ != "S3UploadFailedError":
            raise
        raise CommandError(f"{one.path}: not uploaded: {error}") from error
    version = str(listed["Versions"][0]["VersionId"])
    return Uploaded(one.path, one.key, version, run_id(stack.bucket, one.key, version))
