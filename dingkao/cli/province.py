"""`dingkao province open SLUG` and `dingkao province list`."""

import time

import click

from dingkao.cli.surroundings import answer, application, inside
from dingkao.database.model import db
from dingkao.journal.writing import TERMINAL
from dingkao.people.opening import open_province, opened
from dingkao.tenants.registry import PROVINCES


@click.group("province")
def command() -> None:
    """省份."""


@command.command("open")
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def open_(slug: str, as_json: bool) -> None:
    """开通省份 SLUG;可重复执行."""
    started = time.monotonic()
    with inside(slug) as province:
        opening = open_province(province, by=TERMINAL)
        db.session.commit()
    result = {"slug": slug, "code": province.code, "admin": opening.admin, "one_time_code": opening.code}
    told = f"一次性代码 {opening.code}" if opening.code else "账号已启用"
    answer(result, as_json, f"{province.name}已开通 ({time.monotonic() - started:.1f} s)。管理员 {opening.admin},{told}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def list_(as_json: bool) -> None:
    """列出全部省份及其状态."""
    with application():
        states = {row.code: row.state for row in opened()}
    rows = [{"code": p.code, "slug": p.slug, "name": p.name, "state": states.get(p.code, "unopened")} for p in PROVINCES]
    words = {"open": "已开通", "closed": "已停用", "unopened": "未开通"}
    lines = [f"{row['code']:>4}  {row['slug']:<14}{row['name']}  {words[str(row['state'])]}" for row in rows]
    answer({"provinces": rows}, as_json, "\n".join(lines))
