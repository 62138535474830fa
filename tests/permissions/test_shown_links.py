"""What a page of the console shows may be opened by whoever is shown it: each `url_for` of a template stands
under conditions (`granted`, `can`, a variable that the view took from `current_user.may`) that leave only
roles which may do what the address is for. Read from templates and views; conditions on rows count for nothing.
"""

import ast
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment, nodes

from dingkao.journal.state_machine import TRANSITIONS
from dingkao.people.permissions import ACTION_ROLES, ROLES

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
STAFF = frozenset(role.code for role in ROLES)
ENVIRONMENT = Environment(extensions=["jinja2.ext.do"], autoescape=True)
Names = dict[str, frozenset[str]]
Link = tuple[int, str, frozenset[str]]
"""A line, the endpoint to which it leads, the roles that are shown it."""


@cache
def parsed(template: str) -> nodes.Template:
    """The syntax tree of a template."""
    return ENVIRONMENT.parse((TEMPLATES / template).read_text())


def imported_macro(call: nodes.Node, imports: dict[str, str]) -> nodes.Macro | None:
    """The macro of another template that a call is of; `imports`: the templates by the names they have."""
    if not isinstance(call, nodes.Call) or not isinstance(call.node, nodes.Getattr):
        return None
    template = imports.get(getattr(call.node.node, "name", ""))
    macros = parsed(template).find_all(nodes.Macro) if template else ()
    return next((macro for macro in macros if macro.name == call.node.attr), None)


def staff_granted(action: str) -> frozenset[str]:
    """The roles of staff that may do `action`; all of them behind a door and for what all staff may do."""
    granted = ACTION_ROLES.get(action, STAFF)
    return STAFF if "staff" in granted else granted & STAFF


def roles_of_python(expression: ast.expr) -> frozenset[str]:
    """The roles for which an expression of a view can be true, going by `current_user.may("…")`."""
    if isinstance(expression, ast.BoolOp):
        parts = [roles_of_python(value) for value in expression.values]
        both = isinstance(expression.op, ast.And)
        return frozenset.intersection(*parts) if both else frozenset.union(*parts)
    if isinstance(expression, ast.Call) and ast.unparse(expression.func) == "current_user.may":
        return staff_granted(ast.literal_eval(expression.args[0]))
    return STAFF


def roles_of_condition(condition: nodes.Node, names: Names) -> frozenset[str]:
    """The roles for which a condition of a template can be true; `names`: those of its variables."""
    if isinstance(condition, nodes.And | nodes.Or):
        left, right = (roles_of_condition(part, names) for part in (condition.left, condition.right))
        return left & right if isinstance(condition, nodes.And) else left | right
    if isinstance(condition, nodes.Call) and isinstance(condition.node, nodes.Name):
        if condition.node.name == "granted":
            return staff_granted(condition.args[0].as_const())
        if condition.node.name == "can":
            asked = condition.args[0].as_const()
            rules = [rule for (_, function), rule in TRANSITIONS.items() if function == asked]
            return frozenset().union(*(rule.allowed_actors for rule in rules)) & STAFF
    return names.get(condition.name, STAFF) if isinstance(condition, nodes.Name) else STAFF


def endpoint_of(node: nodes.Node) -> str | None:
    """The endpoint of a `url_for` that names it."""
    is_address = isinstance(node, nodes.Call) and getattr(node.node, "name", "") == "url_for"
    named = is_address and node.args and isinstance(node.args[0], nodes.Const)
    return node.args[0].value if named else None


@dataclass
class Variables:
    """What a template's variables stand for: the roles for which they can be true, the endpoint of an address,
    an imported template."""

    names: Names = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    def assign(self, assignment: nodes.Assign) -> None:
        """Note what a `set` puts into a variable."""
        if isinstance(assignment.target, nodes.Name):
            if endpoint := endpoint_of(assignment.node):
                self.endpoints[assignment.target.name] = endpoint
            self.names[assignment.target.name] = roles_of_condition(assignment.node, self.names)


def iter_links(node: nodes.Node, roles: frozenset[str], variables: Variables) -> Iterator[Link]:
    """The links within a node that is shown to `roles`, those of called macros and included templates among
    them; an address that was put into a variable counts where the variable is used."""
    if isinstance(node, nodes.Assign):
        variables.assign(node)
        if endpoint_of(node.node):
            return
    yield from links_of(node, roles, variables)
    body: list[nodes.Node] = []
    if isinstance(node, nodes.If | nodes.CondExpr):
        body = node.body if isinstance(node, nodes.If) else [node.expr1]
        inside = roles & roles_of_condition(node.test, variables.names)
        for child in body:
            yield from iter_links(child, inside, variables)
    for child in node.iter_child_nodes():
        if not any(child is one for one in body):
            yield from iter_links(child, roles, variables)


def links_of(node: nodes.Node, roles: frozenset[str], variables: Variables) -> Iterator[Link]:
    """The links that a node itself stands for."""
    is_variable = isinstance(node, nodes.Name) and node.ctx == "load"
    endpoint = variables.endpoints.get(node.name) if is_variable else endpoint_of(node)
    if endpoint:
        yield node.lineno, endpoint, roles
    if macro := imported_macro(node, variables.imports):
        yield from iter_links(macro, roles, Variables())
    if isinstance(node, nodes.Include):
        yield from iter_links(parsed(node.template.as_const()), roles, variables)


@cache
def functions_of(module_name: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module, as they are written."""
    tree = ast.parse(inspect.getsource(sys.modules[module_name]))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def reached_from(name: str, functions: dict[str, ast.FunctionDef]) -> list[ast.FunctionDef]:
    """A function and those of its module that it names, directly or not."""
    reached, waiting = [], [name]
    while waiting:
        function = functions[waiting.pop()]
        if function not in reached:
            reached.append(function)
            called = [node.id for node in ast.walk(function) if isinstance(node, ast.Name)]
            waiting += [name for name in called if name in functions]
    return reached


def iter_arguments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a function hands on by name: keywords of calls, entries of dicts."""
    for part in ast.walk(node):
        if isinstance(part, ast.keyword) and part.arg:
            yield part.arg, part.value
        elif isinstance(part, ast.Dict):
            for key, value in zip(part.keys, part.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value


def pages_of(app: Flask) -> dict[str, tuple[frozenset[str], Names]]:
    """Each template of the console that a view names → the roles that the page is shown to, and the roles for
    which each of its variables can be true."""
    shown_to: dict[str, frozenset[str]] = defaultdict(frozenset)
    names: dict[str, Names] = defaultdict(dict)
    for view in app.view_functions.values():
        plain_view = inspect.unwrap(view)
        if not plain_view.__module__.startswith("dingkao.blueprints.console"):
            continue
        functions = reached_from(plain_view.__name__, functions_of(plain_view.__module__))
        constants = vars(sys.modules[plain_view.__module__])
        texts = [
            node.value if isinstance(node, ast.Constant) else constants.get(node.id)
            for part in functions
            for node in ast.walk(part)
            if isinstance(node, ast.Constant | ast.Name)
        ]
        for template in {text for text in texts if type(text) is str and text.startswith("console/")}:
            shown_to[template] |= staff_granted(view.action)
            for name, value in (pair for part in functions for pair in iter_arguments(part)):
                names[template][name] = names[template].get(name, frozenset()) | roles_of_python(value)
    return {template: (roles, names[template]) for template, roles in shown_to.items()}


def refused_links(
    app: Flask, source: str, roles: frozenset[str], names: Names
) -> list[tuple[int, str, list[str]]]:
    """What a template shows to roles that may not open it: line, endpoint, roles."""
    tree = ENVIRONMENT.parse(source)
    imports = {node.target: node.template.as_const() for node in tree.find_all(nodes.Import)}
    links = iter_links(tree, roles, Variables(dict(names), imports=imports))
    return [
        (line, endpoint, sorted(refused))
        for line, endpoint, shown_to in links
        if (refused := shown_to - staff_granted(app.view_functions[endpoint].action))
    ]


@pytest.fixture(scope="module")
def pages(session_application: Flask) -> dict[str, tuple[frozenset[str], Names]]:
    """The console's pages, read once."""
    return pages_of(session_application)


def test_whoever_is_shown_a_link_may_open_it(session_application, pages):
    found = {
        template: refused
        for template, (roles, names) in sorted(pages.items())
        if (refused := refused_links(session_application, (TEMPLATES / template).read_text(), roles, names))
    }
    assert found == {}
    assert len(pages) > 60


def test_a_link_shown_to_a_role_that_may_not_open_it_is_noticed(session_application, pages):
    template = "console/scoring/correction.html"
    roles, names = pages[template]
    for condition, refused in (
        ("row.approved_at", ["question_editor"]),
        ("may_again", ["question_editor"]),
        ("may", []),
        ("row.approved_at and granted('corrections.export')", []),
    ):
        source = f"{{% if {condition} %}}{{{{ url_for('results.publications') }}}}{{% endif %}}"
        found = refused_links(session_application, source, roles, names)
        assert [roles for _, _, roles in found] == ([refused] if refused else []), condition
