"""Every address that a template or a view builds can be built: `url_for` gets what a rule of its endpoint
wants."""

import ast
from collections.abc import Iterator
from pathlib import Path

from flask import Flask
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Environment(extensions=["jinja2.ext.do"], autoescape=True)
Call = tuple[str, str, frozenset[str]]
"""Where an address is built, its endpoint, the names of what it is built of."""


def calls_of_template(path: Path) -> Iterator[Call]:
    """The calls of `url_for` in a template that name their endpoint."""
    for call in ENVIRONMENT.parse(path.read_text()).find_all(nodes.Call):
        is_address = isinstance(call.node, nodes.Name) and call.node.name == "url_for"
        if is_address and not call.dyn_kwargs and isinstance(call.args[0], nodes.Const):
            names = frozenset(argument.key for argument in call.kwargs)
            yield f"{path.relative_to(ROOT)}:{call.lineno}", call.args[0].value, names


def calls_of_module(path: Path) -> Iterator[Call]:
    """The calls of `url_for` in a module that name their endpoint."""
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "url_for":
            continue
        names = [argument.arg for argument in call.keywords]
        if None not in names and isinstance(call.args[0], ast.Constant):
            yield (
                f"{path.relative_to(ROOT)}:{call.lineno}",
                call.args[0].value,
                frozenset(name for name in names if name),
            )


def impossible(app: Flask, calls: Iterator[Call]) -> list[tuple[str, str]]:
    """The calls for which no rule of their endpoint has enough, or whose endpoint there isn't."""
    wanted = {
        endpoint: [rule.arguments - set(rule.defaults or ()) for rule in app.url_map.iter_rules(endpoint)]
        for endpoint in app.view_functions
    }
    return [
        (where, endpoint)
        for where, endpoint, names in calls
        if not any(arguments <= names for arguments in wanted.get(endpoint, []))
    ]


def every_call() -> Iterator[Call]:
    """Every call that names its endpoint."""
    for template in sorted((ROOT / "templates").rglob("*.html")):
        yield from calls_of_template(template)
    for module in sorted((ROOT / "dingkao").rglob("*.py")):
        yield from calls_of_module(module)


def test_every_address_can_be_built(session_application):
    calls = list(every_call())
    assert len(calls) > 400
    assert impossible(session_application, iter(calls)) == []


def test_an_address_that_cannot_be_built_is_noticed(session_application):
    calls = [
        ("here", "platform.change_administrator", frozenset({"slug", "account_id", "what"})),
        ("there", "platform.change_administrator", frozenset({"slug", "account_id", "action_name"})),
        ("nowhere", "platform.nothing", frozenset()),
    ]
    assert impossible(session_application, iter(calls)) == [
        ("here", "platform.change_administrator"),
        ("nowhere", "platform.nothing"),
    ]
