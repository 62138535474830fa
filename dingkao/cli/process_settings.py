"""The configuration of a command: from its environment and from what the stack of DINGKAO_HOME has written.
It imports little, so that commands that only start another process begin at once."""

import os
from pathlib import Path

import click

from dingkao.config import AppConfig
from dingkao.embedded.environment import process_environment


def home() -> Path:
    """Returns the folder DINGKAO_HOME, by default `var/` in the working directory."""
    return Path(os.environ.get("DINGKAO_HOME", "var")).absolute()


def environment() -> dict[str, str]:
    """Returns the environment variables of this process, with those that the stack of DINGKAO_HOME has
    written."""
    return process_environment(home(), os.environ)


def settings() -> AppConfig:
    """Returns the configuration of this process. Raises click.ClickException if no stack was ever started
    here, config.ConfigError."""
    variables = environment()
    if "DATABASE_URL" not in variables:
        raise click.ClickException(f"在 {home()} 没有找到运行环境。请先执行 make run，或设置 DINGKAO_HOME。")
    return AppConfig.from_environment(variables)
