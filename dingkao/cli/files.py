"""`dingkao files prepare` and `dingkao files seal [SLUG]`."""

from collections.abc import Collection

import click

from dingkao.cli.context import (
    application,
    print_result,
    province_by_slug,
)
from dingkao.cli.process_settings import environment
from dingkao.database.base import db
from dingkao.embedded.environment import STORE
from dingkao.errors import Unavailable
from dingkao.integrations import storage
from dingkao.jobs import worker
from dingkao.people.provinces import served_province_codes
from dingkao.tenants.context import in_tenant
from dingkao.uploads import file_encryption


@click.group("files")
def command() -> None:
    """存储的文件."""


@command.command("prepare")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def prepare(as_json: bool) -> None:
    """在对象存储中建立存储桶;可重复执行."""
    variables = environment()
    missing = [name for name in (*STORE.required_variables, "S3_BUCKET") if not variables.get(name)]
    if missing:
        raise click.ClickException(f"缺少环境变量：{'、'.join(missing)}。各项的写法见 deploy/README.md。")
    try:
        is_created = storage.create_bucket(variables)
    except Unavailable as fault:
        raise click.ClickException(fault.message) from fault
    bucket = variables["S3_BUCKET"]
    print_result(
        {"bucket": bucket, "made": is_created},
        as_json,
        f"存储桶 {bucket} {'已建立' if is_created else '已存在'}。",
    )


@command.command("seal")
@click.argument("slug", required=False)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def seal(slug: str | None, as_json: bool) -> None:
    """加密仍以明文存储的文件，并用现行密钥重新加密旧密钥的文件;默认全部省份,可重复执行."""
    codes = [province_by_slug(slug).code] if slug else None
    looked = sealed = 0
    with application() as app:
        for code in _served_codes(codes):
            with app.app_context(), in_tenant(code):
                job = file_encryption.enqueue_encryption()
                worker.run_inline(job)
                looked += job.done
                sealed += (job.result or {}).get("sealed", 0)
                db.session.commit()
    print_result(
        {"looked": looked, "sealed": sealed},
        as_json,
        f"已检查 {looked} 个文件，新加密 {sealed} 个。",
    )


def _served_codes(named: Collection[int] | None) -> list[int]:
    """Returns the codes of the provinces that are served, sorted; only those in `named`, if it is given."""
    served = served_province_codes()
    return sorted(served if named is None else served.intersection(named))
