"""`dingkao accounts`: whom one may sign in as in the demonstration; with `--fill`, its provinces are filled first."""

import click
import pyotp

from dingkao.cli.surroundings import answer, application, inside, settings
from dingkao.database.model import db
from dingkao.demonstration.provinces import PASSWORD, accounts_of, demonstrate
from dingkao.operators import signing_in
from dingkao.people.opening import opened_codes
from dingkao.tenants.registry import by_slug

SLUGS = ("shanxi", "henan")
OPERATOR = "yunying"


@click.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
@click.option("--fill", is_flag=True, help="先填充演示省份")
def command(as_json: bool, fill: bool) -> None:
    """列出演示省份的账号、密码和当前动态口令."""
    if not settings().demonstration:
        raise click.ClickException("这不是演示环境,不列出账号。")
    if fill:
        with application():
            if signing_in.secret_of(OPERATOR) is None:
                signing_in.add(OPERATOR, "平台运营")
                signing_in.settle(OPERATOR, PASSWORD, pyotp.random_base32())
        for slug in SLUGS:
            with inside(slug) as province:
                demonstrate(province)
                db.session.commit()
    with application():
        codes, operator = opened_codes(), signing_in.secret_of(OPERATOR)
    rows = []
    for slug in SLUGS:
        known = by_slug(slug)
        if known is None or known.code not in codes:
            continue
        with inside(slug) as province:
            rows += [{"province": slug, **account.__dict__} for account in accounts_of(province)]
    if operator:
        rows.insert(0, {"province": "platform", "role": "平台运营", "user_name": OPERATOR, "password": PASSWORD, "code": pyotp.TOTP(operator).now()})
    address = settings().public_url
    lines = [f"{address}/{'platform/sign-in' if row['province'] == 'platform' else row['province'] + '/login'}{'' if row['role'].startswith(('医师', '平台')) else '?staff=1'}  {row['role']:<10} {row['user_name']:<20} {row['password']}  {row['code']}" for row in rows]
    answer({"accounts": rows}, as_json, "\n".join(lines))
