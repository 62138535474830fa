"""`dingkao database prepare` and `dingkao database migrate`, for a PostgreSQL of one's own (deploy/README.md)."""

import os

import click
from sqlalchemy import make_url

from dingkao.cli.surroundings import answer, environment
from dingkao.database import roles
from dingkao.database.migrating import upgrade

URLS = {
    "DATABASE_URL": roles.APP, "PLATFORM_DATABASE_URL": roles.PLATFORM, "MIGRATOR_DATABASE_URL": roles.MIGRATOR, "BACKUP_DATABASE_URL": roles.BACKUP,
}  # fmt: skip
OPTIONAL = ("BACKUP_DATABASE_URL",)


@click.group("database")
def command() -> None:
    """数据库."""


@command.command("prepare")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def prepare(as_json: bool) -> None:
    """按环境变量中的地址建立角色和数据库;SUPERUSER_DATABASE_URL 指明有权建立的账号;可重复执行."""
    known = environment()
    superuser = os.environ.get("SUPERUSER_DATABASE_URL")
    missing = [name for name in URLS if name not in known and name not in OPTIONAL] + ([] if superuser else ["SUPERUSER_DATABASE_URL"])
    if missing:
        raise click.ClickException(f"缺少环境变量:{'、'.join(missing)}。各项的写法见 deploy/README.md。")
    urls = {role: make_url(known[name]) for name, role in URLS.items() if name in known}
    wrong = [role for role, url in urls.items() if url.username != role or not url.password]
    if wrong:
        raise click.ClickException(f"以下角色的地址应以角色名为用户名并带有密码:{'、'.join(wrong)}。")
    databases = {url.database for url in urls.values()}
    if len(databases) != 1 or None in databases:
        raise click.ClickException("各地址应指向同一个数据库。")
    database = str(databases.pop())
    roles.bootstrap(str(superuser).replace("+psycopg", ""), database, {role: str(url.password) for role, url in urls.items()})
    answer({"database": database, "roles": sorted(urls)}, as_json, f"角色和数据库 {database} 已就绪。接着执行 dingkao database migrate。")


@command.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def migrate(as_json: bool) -> None:
    """把数据库结构升级到最新;可重复执行."""
    address = environment().get("MIGRATOR_DATABASE_URL")
    if not address:
        raise click.ClickException("缺少环境变量 MIGRATOR_DATABASE_URL。")
    upgrade(address)
    answer({"migrated": True}, as_json, "数据库结构已是最新。")
