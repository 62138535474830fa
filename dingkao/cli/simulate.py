"""`dingkao simulate SLUG --doctors N`."""

import sys
from typing import Any

import click
import pyotp
from sqlalchemy import select

from dingkao.cli.context import in_province_context, print_result
from dingkao.cli.process_settings import settings
from dingkao.database.base import db
from dingkao.demonstration.simulation.metrics import SimulationError
from dingkao.demonstration.simulation.question_keys import (
    question_key,
)
from dingkao.demonstration.simulation.simulation import Simulation
from dingkao.people.accounts import staff_login_index
from dingkao.people.models import Account
from dingkao.question_banks import markup
from dingkao.question_banks.models import QuestionVersion
from dingkao.tenants.encryption import SecretLocation, current_vault


def _for_script(text: str) -> str | dict[str, str]:
    """Returns a text as the page's script data has it, with pictures by name instead of address."""
    return markup.for_script(text, lambda name: name)


@click.command("simulate")
@click.argument("slug")
@click.option(
    "--doctors",
    default=20,
    show_default=True,
    type=click.IntRange(1, 5000),
    help="医师人数",
)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def command(slug: str, doctors: int, as_json: bool) -> None:
    """让演示省份 SLUG 的 N 位虚构医师经由网页走完整个考核周期."""
    config = settings()
    if not config.demonstration:
        raise click.ClickException("这不是演示环境，不能模拟。")
    with in_province_context(slug) as province:
        keys = _answer_keys()

        walk = Simulation(
            config.public_url,
            province,
            doctors,
            _current_code,
            keys,
            report=lambda line: click.echo(line, err=True),
        )
        try:
            metrics = walk.run()
        except SimulationError as stuck:
            raise click.ClickException(f"没有走完：{stuck}") from stuck
    for fault in walk.metrics.errors[:20]:
        click.echo(fault, err=True)
    print_result(metrics, as_json, _format_metrics(metrics, doctors))
    if metrics["errors"] or metrics["passed"] + metrics["failed"] != doctors:
        sys.exit(2)


def _answer_keys() -> dict[str, Any]:
    """Returns question key → answer letters for every question of the province; see `question_key`."""
    return {
        question_key(
            _for_script(version.case_stem or ""),
            _for_script(version.stem),
            [(letter, _for_script(words)) for letter, words in version.options],
        ): version.answer
        for version in db.session.scalars(select(QuestionVersion))
    }


def _current_code(user_name: str) -> str:
    """Returns the current TOTP code of the staff account with that user name. What the session has not
    committed is rolled back."""
    account = db.session.scalars(
        select(Account).where(Account.login_index == staff_login_index(user_name))
    ).one()
    secret = current_vault().decrypt(
        SecretLocation("account", "second_factor", account.id),
        account.second_factor_sealed or b"",
    )
    db.session.rollback()
    return pyotp.TOTP(secret).now()


def _format_metrics(metrics: dict[str, Any], doctors: int) -> str:
    """Returns the seconds of each phase and the counts, for people."""
    lines = [f"{name} {seconds} s" for name, seconds in metrics["phases"].items()]
    lines.append(
        f"{doctors}人：合格{metrics['passed']}，不合格{metrics['failed']}，"
        f"请求{metrics['requests']}，因繁忙重试{metrics['busy']}，"
        f"出错{metrics['errors']}，用时{metrics['seconds']} s"
    )
    return "\n".join(lines)
