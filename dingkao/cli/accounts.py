"""`dingkao accounts`: whom one may sign in as in the demonstration. `dingkao demonstrate` fills its provinces."""

import click

from dingkao.cli.surroundings import answer, application, inside, settings
from dingkao.database.model import db
from dingkao.demonstration.provinces import accounts_of, demonstrate
from dingkao.people.opening import opened_codes
from dingkao.tenants.registry import by_slug

SLUGS = ("shanxi", "henan")


@click.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
@click.option("--fill", is_flag=True, help="先填充演示省份")
def command(as_json: bool, fill: bool) -> None:
    """列出演示省份的账号、密码和当前动态口令."""
    if not settings().demonstration:
        raise click.ClickException("这不是演示环境,不列出账号。")
    if fill:
        for slug in SLUGS:
            with inside(slug) as province:
                demonstrate(province)
                db.session.commit()
    with application():
        codes = opened_codes()
    rows = []
    for slug in SLUGS:
        known = by_slug(slug)
        if known is None or known.code not in codes:
            continue
        with inside(slug) as province:
            rows += [{"province": slug, **account.__dict__} for account in accounts_of(province)]
    address = settings().public_url
    lines = [f"{address}/{row['province']}/login{'' if row['role'].startswith('医师') else '?staff=1'}  {row['role']:<10} {row['user_name']:<20} {row['password']}  {row['code']}" for row in rows]
    answer({"accounts": rows}, as_json, "\n".join(lines))
