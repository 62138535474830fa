"""The command line: `dingkao NOUN VERB`, with a file per noun. The exit status is 0 only if all went well, 2
if rows were refused."""

import importlib
import os
import pkgutil

import click

from dingkao.processes import deferred_garbage_collection

# click exits with 2 for a wrong call, but here 2 means that rows were refused
click.UsageError.exit_code = os.EX_USAGE
HELPER_MODULES = {"context", "process_settings"}
"""Modules of this package that are not commands."""


class LazyGroup(click.Group):
    """The group of all commands. Each is a module of this package and imported only when called, so that a
    web or worker process starts without the imports of the other commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all nouns, sorted."""
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name for name in names if not name.startswith("_") and name not in HELPER_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command `cmd_name`, or None."""
        if cmd_name not in self.list_commands(ctx):
            return None
        with deferred_garbage_collection():
            command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=LazyGroup)
def main() -> None:
    """定考: 医师定期考核信息登记管理系统."""
