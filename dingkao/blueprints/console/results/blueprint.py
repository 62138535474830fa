"""The blueprint of pass lines, 综合评定 and publication."""

from dingkao.blueprints.console.navigation import console_blueprint

results = console_blueprint("results")
