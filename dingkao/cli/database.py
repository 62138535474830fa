"""`dingkao database prepare` and `dingkao database migrate`, for a PostgreSQL that is not the stack's
(deploy/README.md)."""

import os
from collections.abc import Mapping

import click
from sqlalchemy import URL, make_url

from dingkao.cli.context import print_result
from dingkao.cli.process_settings import environment
from dingkao.database import roles
from dingkao.database.migrations import upgrade

ROLE_BY_VARIABLE = {
    "DATABASE_URL": roles.APP,
    "PLATFORM_DATABASE_URL": roles.PLATFORM,
    "MIGRATOR_DATABASE_URL": roles.MIGRATOR,
    "BACKUP_DATABASE_URL": roles.BACKUP,
}
REQUIRED = (
    "DATABASE_URL",
    "PLATFORM_DATABASE_URL",
    "MIGRATOR_DATABASE_URL",
)


@click.group("database")
def command() -> None:
    """数据库."""


@command.command("prepare")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def prepare(as_json: bool) -> None:
    """按环境变量中的地址建立角色和数据库;SUPERUSER_DATABASE_URL 指明有权建立的账号;可重复执行."""
    superuser = os.environ.get("SUPERUSER_DATABASE_URL")
    urls = _role_urls(environment(), has_superuser=bool(superuser))
    database = _common_database(urls)
    passwords = {role: str(url.password) for role, url in urls.items()}
    roles.bootstrap(str(superuser).replace("+psycopg", ""), database, passwords)
    print_result(
        {"database": database, "roles": sorted(urls)},
        as_json,
        f"角色和数据库 {database} 已就绪。接着执行 dingkao database migrate。",
    )


def _role_urls(variables: Mapping[str, str], *, has_superuser: bool) -> dict[str, URL]:
    """Returns role → URL from the environment variables. Raises click.ClickException if one is missing, or
    has another user name or no password."""
    _require_addresses(variables, has_superuser=has_superuser)
    urls = {role: make_url(variables[name]) for name, role in ROLE_BY_VARIABLE.items() if name in variables}
    invalid = [role for role, url in urls.items() if not _is_url_of_role(url, role)]
    if invalid:
        raise click.ClickException(f"以下角色的地址应以角色名为用户名并带有密码：{'、'.join(invalid)}。")
    return urls


def _require_addresses(variables: Mapping[str, str], *, has_superuser: bool) -> None:
    """Raises click.ClickException naming the addresses that are missing."""
    missing = [name for name in REQUIRED if name not in variables]
    if not has_superuser:
        missing.append("SUPERUSER_DATABASE_URL")
    if missing:
        raise click.ClickException(f"缺少环境变量：{'、'.join(missing)}。各项的写法见 deploy/README.md。")


def _is_url_of_role(url: URL, role: str) -> bool:
    return url.username == role and bool(url.password)


def _common_database(urls: Mapping[str, URL]) -> str:
    """Returns the name of the database that all URLs name. Raises click.ClickException if they differ or one
    names none."""
    databases = {url.database for url in urls.values()}
    if len(databases) != 1 or None in databases:
        raise click.ClickException("各地址应指向同一个数据库。")
    return str(databases.pop())


@command.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def migrate(as_json: bool) -> None:
    """把数据库结构升级到最新;可重复执行."""
    address = environment().get("MIGRATOR_DATABASE_URL")
    if not address:
        raise click.ClickException("缺少环境变量 MIGRATOR_DATABASE_URL。")
    upgrade(address)
    print_result({"migrated": True}, as_json, "数据库结构已是最新。")
