"""What every command stands in: the stack of DINGKAO_HOME, the application, a province."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from flask import Flask

from dingkao.app import create_app
from dingkao.embedded.stack import remembered
from dingkao.people.opening import opened_codes
from dingkao.settings import Settings
from dingkao.tenants.context import entered
from dingkao.tenants.registry import Province, by_slug

# click's own status for a wrong call is 2, which here says that rows were refused
click.UsageError.exit_code = os.EX_USAGE


def home() -> Path:
    """DINGKAO_HOME, by default `var/` here."""
    return Path(os.environ.get("DINGKAO_HOME", "var")).absolute()


def environment() -> dict[str, str]:
    """What this process is told: its environment, over what the stack of DINGKAO_HOME wrote down."""
    return remembered(home()) | dict(os.environ)


def settings() -> Settings:
    """The settings of this process."""
    told = environment()
    if "DATABASE_URL" not in told:
        raise click.ClickException(f"在 {home()} 没有找到运行环境。请先执行 make run,或设置 DINGKAO_HOME。")
    return Settings.from_environment(told)


@contextmanager
def application() -> Iterator[Flask]:
    """The application, its context entered."""
    app = create_app(settings())
    with app.app_context():
        yield app


@contextmanager
def inside(slug: str, *, opened: bool = False) -> Iterator[Province]:
    """The application, in province `slug`; refuses a slug that is none, and where it must have been `opened`, a province that isn't."""
    province = by_slug(slug)
    if province is None:
        raise click.BadParameter(f"没有代号为 {slug} 的省份;dingkao province list 列出全部代号。")
    with application():
        if opened and province.code not in opened_codes():
            raise click.ClickException(f"{province.name}尚未开通。请先执行 dingkao province open {slug}。")
        with entered(province.code):
            yield province


def answer(result: dict[str, Any], as_json: bool, sentence: str) -> None:
    """Print `result` as one JSON object, or `sentence` for people."""
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else sentence)


def leave(refused: int) -> None:
    """End with status 2 where rows were refused."""
    if refused:
        sys.exit(2)
