"""The one file that knows boto3: one bucket, and its errors as ours."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowferry.errors import Never, NotFound, StorageUnavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CopySourceTypeDef, ObjectVersionTypeDef

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_ONE_PART_AT_A_TIME = TransferConfig(use_threads=False)  # with threads up to ten parts would wait in memory

COPY_BYTES = 5 * 1000**3  # CopyObject's limit; above it boto3 copies in parts
_LASTING = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "InvalidRequest"}
_ABSENT = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"}


@dataclass(frozen=True)
class Version:
    """One version of an object. `etag` is without quotes; `modified` is in UTC.

    `withdrawn`: the object was deleted by its name since, which leaves its versions where they are.
    """

    key: str
    id: str
    etag: str
    size: int
    modified: datetime
    withdrawn: bool = False


@dataclass(frozen=True)
class Upload:
    """A multipart upload that was begun and neither completed nor given up."""

    key: str
    id: str
    begun: datetime


class StorageDenied(Never):
    """S3 says no for good: a right or the bucket is missing."""


class Bucket:
    """A versioned bucket.

    Every method raises StorageUnavailable where trying again helps, StorageDenied where it doesn't, and NotFound where
    it names an object or version that is not there.
    """

    def __init__(self, name: str, client: "S3Client | None" = None) -> None:
        self.name = name
        self._client = client or _client()

    def read(self, key: str, version: str | None = None) -> BinaryIO:
        """An object as a stream, from its beginning."""
        extra = {"VersionId": version} if version else {}
        with _errors_as_ours(key):
            body = self._client.get_object(Bucket=self.name, Key=key, **extra)["Body"]  # type: ignore[arg-type]
        return cast(BinaryIO, io.BufferedReader(_Stream(body, key), 256 * 1024))

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of an object."""
        if start >= end:
            return b""
        with _errors_as_ours(key):
            return self._client.get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{end - 1}")["Body"].read()

    def read_all(self, key: str) -> bytes:
        """A small object, whole."""
        with _errors_as_ours(key):
            return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, body: bytes) -> None:
        with _errors_as_ours(key):
            self._client.put_object(Bucket=self.name, Key=key, Body=body)

    def write_version(self, key: str, body: bytes) -> str:
        """Writes an object; answers the id of its new version."""
        with _errors_as_ours(key):
            return self._client.put_object(Bucket=self.name, Key=key, Body=body)["VersionId"]

    def write_once(self, key: str, body: bytes) -> bool:
        """Writes an object where there is none yet; answers False where there is one, which stays as it is.

        An answer that was lost on the way makes S3's client ask again, and then it is False too.
        """
        with _errors_as_ours(key):
            try:
                self._client.put_object(Bucket=self.name, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
                    raise
                return False
        return True

    def write_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        """Blocks of any number, in parts of 8 MiB; there is no object before the last part is in."""
        with _errors_as_ours(key):
            self._client.upload_fileobj(cast(BinaryIO, _Readable(blocks)), self.name, key, Config=_ONE_PART_AT_A_TIME)

    def exists(self, key: str) -> bool:
        return self.metadata(key) is not None

    def metadata(self, key: str, version: str | None = None) -> Mapping[str, str] | None:
        """An object's own metadata; None where there is no such object."""
        extra = {"VersionId": version} if version else {}
        try:
            with _errors_as_ours(key):
                return self._client.head_object(Bucket=self.name, Key=key, **extra)["Metadata"]  # type: ignore[arg-type]
        except NotFound:
            return None

    def versions(self, prefix: str, begin: str = "") -> Iterator[Version]:
        """All versions of all objects whose key begins with a prefix, by key, deletion markers left out.

        `begin`: a key below the prefix; what comes before it is left out, a few keys that look like it may be not.
        """
        listing = self._client.get_paginator("list_object_versions")
        if len(begin) > len(prefix):  # S3 lists what comes behind the marker
            # the stubs know the paginator's own parameters only; this is the first page's
            pages = listing.paginate(Bucket=self.name, Prefix=prefix, KeyMarker=begin[:-1])  # type: ignore[call-arg]
        else:
            pages = listing.paginate(Bucket=self.name, Prefix=prefix)
        withdrawn = set[str]()  # a key's marker, where it is the latest, is listed before its versions
        with _errors_as_ours(prefix):
            for page in pages:
                withdrawn |= {marker["Key"] for marker in page.get("DeleteMarkers", ()) if marker["IsLatest"]}
                for found in page.get("Versions", ()):
                    yield _version(found, found["Key"] in withdrawn)

    def versions_of(self, key: str) -> list[Version]:
        """All versions of one object in S3's own order, the current one last.

        An upload in parts has its place, and its `modified`, from when it began, whenever it is completed.
        """
        found = [version for version in self.versions(key) if version.key == key]
        found.reverse()  # S3 lists the newest first
        return found

    def copy(self, version: Version, to: str, metadata: Mapping[str, str]) -> None:
        """Copies one version within the bucket; the copy has `metadata` in place of its own."""
        source: CopySourceTypeDef = {"Bucket": self.name, "Key": version.key, "VersionId": version.id}
        with _errors_as_ours(version.key):
            if version.size > COPY_BYTES:
                extra = {"Metadata": dict(metadata), "MetadataDirective": "REPLACE"}
                self._client.copy(source, self.name, to, ExtraArgs=extra)
            else:
                self._client.copy_object(
                    Bucket=self.name, Key=to, CopySource=source, Metadata=dict(metadata), MetadataDirective="REPLACE"
                )

    def delete(self, version: Version) -> None:
        """Deletes one version for good; that it is gone already is no error."""
        with _errors_as_ours(version.key):
            self._client.delete_object(Bucket=self.name, Key=version.key, VersionId=version.id)

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of the objects below a prefix, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        with _errors_as_ours(prefix):
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", ()))

    def unfinished_uploads(self, prefix: str) -> Iterator[Upload]:
        """Uploads in parts below a prefix that have no end yet."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        with _errors_as_ours(prefix):
            for page in pages:
                yield from (Upload(up["Key"], up["UploadId"], up["Initiated"]) for up in page.get("Uploads", ()))

    def give_up(self, upload: Upload) -> None:
        """Drops the parts of an upload; that it has ended is no error."""
        with suppress(NotFound), _errors_as_ours(upload.key):
            self._client.abort_multipart_upload(Bucket=self.name, Key=upload.key, UploadId=upload.id)

    def tag(self, keys: Iterable[str], name: str, value: str) -> None:
        """Gives each object one tag; an object that is gone meanwhile needs none."""

        def tag_one(key: str) -> None:
            with _errors_as_ours(key):
                self._client.put_object_tagging(
                    Bucket=self.name, Key=key, Tagging={"TagSet": [{"Key": name, "Value": value}]}
                )

        in_parallel(tag_one, keys)


def in_parallel(act: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Acts on each item, eight at a time; answers in the items' order. For calls that mostly wait."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(act, items))


class _Stream(io.RawIOBase):
    """An object's body whose failures are ours."""

    def __init__(self, body: "StreamingBody", key: str) -> None:
        self._body = body
        self._key = key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        with _errors_as_ours(self._key):
            got = self._body.read(len(view))
        view[: len(got)] = got
        return len(got)

    def close(self) -> None:
        self._body.close()
        super().close()


class _Readable(io.RawIOBase):
    """Blocks as a file that boto3 reads."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, got = [self._rest], len(self._rest)
        while size < 0 or got < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            got += len(block)
        whole = b"".join(parts)
        size = len(whole) if size < 0 else size
        self._rest = whole[size:]
        return whole[:size]


def _client() -> "S3Client":
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=10,
    )
    return boto3.client("s3", config=config)


def _version(found: "ObjectVersionTypeDef", withdrawn: bool) -> Version:
    etag = found["ETag"].strip('"')
    return Version(found["Key"], found["VersionId"], etag, found["Size"], found["LastModified"], withdrawn)


@contextmanager
def _errors_as_ours(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _ABSENT:
            raise NotFound(f"there is no {what} in the bucket") from error
        if code in _LASTING:
            raise StorageDenied(f"S3 refuses {what}: {code}") from error
        raise StorageUnavailable(f"S3 failed for {what}: {code}") from error
    except (BotoCoreError, S3UploadFailedError, OSError) as error:
        raise StorageUnavailable(f"S3 is out of reach for {what}: {type(error).__name__}") from error
