"""`dingkao simulate SLUG --doctors N`."""

import sys

import click
import pyotp
from sqlalchemy import select

from dingkao.cli.surroundings import answer, inside, settings
from dingkao.database.model import db
from dingkao.demonstration.walking import Stuck, Walk, key_of
from dingkao.exams import content
from dingkao.exams.models import QuestionVersion
from dingkao.people.accounts import staff_login_index
from dingkao.people.models import Account
from dingkao.tenants.secrets import Place, vault


def _shown(text: str) -> str | dict[str, str]:
    return content.shown(text, lambda name: name)


@click.command("simulate")
@click.argument("slug")
@click.option("--doctors", default=20, show_default=True, type=click.IntRange(1, 5000), help="医师人数")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def command(slug: str, doctors: int, as_json: bool) -> None:
    """让演示省份 SLUG 的 N 位虚构医师经由网页走完整个考核周期."""
    given = settings()
    if not given.demonstration:
        raise click.ClickException("这不是演示环境,不能模拟。")
    with inside(slug) as province:
        keys = {
            key_of(_shown(row.case_stem or ""), _shown(row.stem), [(letter, _shown(words)) for letter, words in row.options]): row.answer
            for row in db.session.scalars(select(QuestionVersion))
        }

        def code_of(user_name: str) -> str:
            account = db.session.scalars(select(Account).where(Account.login_index == staff_login_index(user_name))).one()
            secret = vault().unseal(Place("account", "second_factor", account.id), account.second_factor_sealed or b"")
            db.session.rollback()
            return pyotp.TOTP(secret).now()

        walk = Walk(given.public_url, province, doctors, code_of, keys, say=lambda line: click.echo(line, err=True))
        try:
            counted = walk.walk()
        except Stuck as stuck:
            raise click.ClickException(f"没有走完:{stuck}") from stuck
    for fault in walk.tally.errors[:20]:
        click.echo(fault, err=True)
    lines = [f"{name} {seconds} s" for name, seconds in counted["phases"].items()]
    lines.append(f"{doctors}人:合格{counted['passed']},不合格{counted['failed']},请求{counted['requests']},出错{counted['errors']},用时{counted['seconds']} s")
    answer(counted, as_json, "\n".join(lines))
    if counted["errors"] or counted["passed"] + counted["failed"] != doctors:
        sys.exit(2)
