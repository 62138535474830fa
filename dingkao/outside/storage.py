"""The store of files (S3-compatible), by boto3. Keys are made from the province entered, so no file of another can be named."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, current_app

from dingkao.errors import NotFound, Unavailable
from dingkao.settings import Settings
from dingkao.tenants.keys import object_key
from dingkao.tenants.secrets import Place, vault

DOWN = "文件存储暂时连接不上,请保留本页,一分钟后再试。您填写的内容没有丢失。"


@dataclass(frozen=True)
class Store:
    """One bucket; every province's files lie under `t/<code>/`."""

    client: Any
    bucket: str

    def put(self, kind: str, identity: UUID, content: bytes, content_type: str, *, sealed: bool = False) -> None:
        """Keep `content` under `kind` and `identity`; `sealed` encrypts it with the province's key, for files that carry ID numbers.
        Putting again replaces. Raises Unavailable."""
        if sealed:
            content, content_type = vault().seal_bytes(_place(kind, identity), content), "application/octet-stream"
        try:
            self.client.put_object(Bucket=self.bucket, Key=object_key(kind, identity), Body=content, ContentType=content_type)
        except (BotoCoreError, ClientError) as fault:
            raise Unavailable(DOWN) from fault

    def get(self, kind: str, identity: UUID, *, sealed: bool = False) -> bytes:
        """The content kept there; raises NotFound, Unavailable, and NotOurs where a sealed file was tampered with."""
        try:
            content: bytes = self.client.get_object(Bucket=self.bucket, Key=object_key(kind, identity))["Body"].read()
        except ClientError as fault:
            if fault.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise NotFound("没有找到该文件,请重新上传。") from fault
            raise Unavailable(DOWN) from fault
        except BotoCoreError as fault:
            raise Unavailable(DOWN) from fault
        return vault().unseal_bytes(_place(kind, identity), content) if sealed else content

    def remove(self, kind: str, identity: UUID) -> None:
        """Forget the file; what isn't there is no fault. Raises Unavailable."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=object_key(kind, identity))
        except (BotoCoreError, ClientError) as fault:
            raise Unavailable(DOWN) from fault

    def answers(self) -> bool:
        """Whether the store answers; for /readyz."""
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError):
            return False
        return True


def from_settings(settings: Settings) -> Store:
    """The store that the settings name; nothing is asked of it yet."""
    client = boto3.client(
        "s3", endpoint_url=settings.s3_endpoint_url, aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key, region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    return Store(client, settings.s3_bucket)


def install(app: Flask, chosen: Store) -> None:
    """Make `chosen` the store of `app`."""
    app.extensions["store"] = chosen


def store() -> Store:
    """The store of the application whose context we are in; raises RuntimeError outside."""
    chosen: Store = current_app.extensions["store"]
    return chosen


def _place(kind: str, identity: UUID) -> Place:
    return Place("store", kind, identity)
