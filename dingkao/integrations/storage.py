"""The store of files (S3-compatible), by boto3. Keys are built from the current province, so that no file of
another province can be named."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, current_app
from sqlalchemy import select

from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.errors import NotFound, Unavailable
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.keys import (
    PLATFORM_PREFIX,
    object_key,
    platform_object_key,
    province_prefix,
)
from dingkao.tenants.models import OpenedProvince

NO_BUCKET_CODES = ("NoSuchBucket", "404")
NO_FILE_CODES = ("NoSuchKey", "404")
UNAVAILABLE_MESSAGE = "文件存储暂时连接不上，请保留本页，一分钟后再试。您填写的内容没有丢失。"


UNENCRYPTED_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"%PDF-")
"""The first bytes of pictures and PDFs that were stored before all files were encrypted."""


@dataclass(frozen=True)
class ObjectStore:
    """One bucket. Every province's files are under `t/<code>/`, encrypted with its key, so that access to the
    store alone lets nobody read them. The platform's files are next to them, encrypted with the platform's
    key."""

    client: Any
    bucket: str
    platform: bool = False

    def platform_store(self) -> "ObjectStore":
        """Returns the store of the platform's files, which needs no current province."""
        return replace(self, platform=True)

    def put(self, kind: str, identity: UUID, content: bytes) -> None:
        """Encrypt `content` and store it under `kind` and `identity`, replacing earlier content; it stays
        even if the transaction is rolled back. Raises Unavailable."""
        encrypted = current_vault().encrypt_bytes(
            _object_location(kind, identity),
            content,
            platform=self.platform,
        )
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=self.key_of(kind, identity),
                Body=encrypted,
                ContentType="application/octet-stream",
            )
        except (BotoCoreError, ClientError) as fault:
            raise Unavailable(UNAVAILABLE_MESSAGE) from fault

    def get(self, kind: str, identity: UUID) -> bytes:
        """Returns the stored content, decrypted (a picture or PDF that was stored before files were encrypted
        as it is, unless all of the province's are encrypted by now). Raises NotFound, Unavailable,
        encryption.DecryptionFailed if it was altered."""
        content, _ = self._load_object(kind, identity)
        if not self.platform and content.startswith(UNENCRYPTED_SIGNATURES) and not all_files_encrypted():
            return content
        return current_vault().decrypt_bytes(
            _object_location(kind, identity),
            content,
            platform=self.platform,
        )

    def encrypt_existing(self, kind: str, identity: UUID) -> bool:
        """Encrypt a stored file anew if it is not encrypted, or with an earlier key; returns whether that was
        done. A file that was deleted or replaced since it was read is left as it is, which is checked last
        before it is stored: the store itself has no conditional PUT, so a deletion within that one request
        comes too late. Raises NotFound, also for one that was deleted meanwhile, Unavailable,
        encryption.DecryptionFailed."""
        content, etag = self._load_object(kind, identity)
        location = _object_location(kind, identity)
        if not content.startswith(UNENCRYPTED_SIGNATURES):
            plain = current_vault().decrypt_bytes(location, content, platform=self.platform)
            if content[0] == current_vault().current_key_number:
                return False
            content = plain
        if self._current_etag(kind, identity) != etag:
            return False
        self.put(kind, identity, content)
        return True

    def list_objects(self, after: str, limit: int) -> list[tuple[str, UUID]]:
        """Returns (kind, id) of this province's (or the platform's) next files, in the order of their keys
        (`key_of`) after the key `after` ("" for the first), at most `limit`. Raises Unavailable."""
        prefix = PLATFORM_PREFIX if self.platform else province_prefix()
        try:
            page = self.client.list_objects_v2(
                Bucket=self.bucket,
                Prefix=prefix,
                StartAfter=after,
                MaxKeys=limit,
            )
        except (BotoCoreError, ClientError) as fault:
            raise Unavailable(UNAVAILABLE_MESSAGE) from fault
        keys = (entry["Key"].split("/") for entry in page.get("Contents", []))
        return [(kind, UUID(identity)) for *_, kind, identity in keys]

    def key_of(self, kind: str, identity: UUID) -> str:
        """Returns the key of a file."""
        return platform_object_key(kind, identity) if self.platform else object_key(kind, identity)

    def _load_object(self, kind: str, identity: UUID) -> tuple[bytes, str]:
        """Returns the stored bytes, still encrypted, and their ETag. Raises NotFound, Unavailable."""
        with _reading_faults():
            stored = self.client.get_object(Bucket=self.bucket, Key=self.key_of(kind, identity))
            return stored["Body"].read(), stored["ETag"]

    def _current_etag(self, kind: str, identity: UUID) -> str:
        """Returns the ETag of a stored file as it is now. Raises NotFound, Unavailable."""
        with _reading_faults():
            head = self.client.head_object(Bucket=self.bucket, Key=self.key_of(kind, identity))
            return str(head["ETag"])

    def delete(self, kind: str, identity: UUID) -> None:
        """Delete the file at once, not with the transaction; does nothing if there is none. Raises
        Unavailable."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=self.key_of(kind, identity))
        except (BotoCoreError, ClientError) as fault:
            raise Unavailable(UNAVAILABLE_MESSAGE) from fault

    def health_error(self) -> str | None:
        """Returns what is wrong with the store (Chinese), for /readyz; None if it responds and has the
        bucket."""
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as fault:
            code = fault.response.get("Error", {}).get("Code")
            if code in NO_BUCKET_CODES:
                return f"没有存储桶 {self.bucket}，请执行 dingkao files prepare"
            return f"拒绝访问存储桶 {self.bucket}（{code}），请核对 S3_ACCESS_KEY 和 S3_SECRET_KEY"
        except BotoCoreError:
            return "连接不上"
        return None


def create_client(environment: Mapping[str, str], timeout: int = 4) -> Any:
    """Returns a client of the store named by S3_ENDPOINT_URL, S3_ACCESS_KEY and S3_SECRET_KEY. It waits two
    seconds for a connection, `timeout` seconds for an answer, and tries a second time, which is safe, because
    storing, reading and deleting are idempotent. Nothing is sent yet."""
    return boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        aws_access_key_id=environment["S3_ACCESS_KEY"],
        aws_secret_access_key=environment["S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=timeout,
            retries={"total_max_attempts": 2},
        ),
    )


def create_bucket(environment: Mapping[str, str]) -> bool:
    """Create the bucket S3_BUCKET in the store that `environment` names by S3_ENDPOINT_URL, S3_ACCESS_KEY and
    S3_SECRET_KEY. Returns False if it exists already. Raises Unavailable."""
    client = create_client(environment, timeout=60)
    bucket = environment["S3_BUCKET"]
    try:
        if _has_bucket(client, bucket):
            return False
        client.create_bucket(Bucket=bucket)
    except ClientError as fault:
        raise Unavailable(
            f"对象存储 {environment['S3_ENDPOINT_URL']} 拒绝建立存储桶 {bucket}：{fault}"
        ) from fault
    except BotoCoreError as fault:
        raise Unavailable(f"对象存储 {environment['S3_ENDPOINT_URL']} 连接不上：{fault}") from fault
    return True


def _has_bucket(client: Any, bucket: str) -> bool:
    """Whether the bucket exists. Raises ClientError if the store refuses to say."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as fault:
        if _error_code(fault) not in NO_BUCKET_CODES:
            raise
        return False
    return True


@contextmanager
def _reading_faults() -> Iterator[None]:
    """Turns what the store answers to reading a file into NotFound if it isn't there, else Unavailable."""
    try:
        yield
    except ClientError as fault:
        if _error_code(fault) in NO_FILE_CODES:
            raise NotFound("没有找到该文件，请重新上传。") from fault
        raise Unavailable(UNAVAILABLE_MESSAGE) from fault
    except BotoCoreError as fault:
        raise Unavailable(UNAVAILABLE_MESSAGE) from fault


def _error_code(fault: ClientError) -> str:
    """Returns the code of an error of the store, or ""."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def from_settings(config: AppConfig) -> ObjectStore:
    """Returns the store that the configuration names; nothing is sent yet."""
    environment = {
        "S3_ENDPOINT_URL": config.s3_endpoint_url,
        "S3_ACCESS_KEY": config.s3_access_key,
        "S3_SECRET_KEY": config.s3_secret_key,
    }
    return ObjectStore(create_client(environment), config.s3_bucket)


def install(app: Flask, chosen: ObjectStore) -> None:
    """Make `chosen` the store of `app`."""
    app.extensions["store"] = chosen


def current_store() -> ObjectStore:
    """Returns the store of the current application. Raises RuntimeError outside an application context."""
    store: ObjectStore = current_app.extensions["store"]
    return store


def all_files_encrypted() -> bool:
    """Whether every file of the current province was found encrypted, so that an unencrypted file can't be
    ours (`uploads.file_encryption`). Asked on a connection of its own to the platform's database."""
    query = select(OpenedProvince.files_sealed_at).where(OpenedProvince.code == current_tenant())
    with db.engines["platform"].connect() as connection:
        return connection.scalar(query) is not None


def _object_location(kind: str, identity: UUID) -> SecretLocation:
    """Returns the place by which the encryption of a file is bound to it."""
    return SecretLocation("store", kind, identity)
