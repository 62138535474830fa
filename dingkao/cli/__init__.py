"""The terminal: `dingkao NOUN VERB`, a file per noun. Exit status 0 only where all went well, 2 where rows were refused."""

import importlib
import pkgutil

import click


@click.group()
def main() -> None:
    """定考: 医师定期考核信息登记管理系统."""


for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_") and _module.name != "surroundings":
        _noun = importlib.import_module(f"{__name__}.{_module.name}")
        main.add_command(_noun.command)
