"""The blueprint of scoring in the console."""

from dingkao.blueprints.console.navigation import console_blueprint

scoring = console_blueprint("scoring")
