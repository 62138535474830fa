"""Buttons: what makes a move is shown by the table of permissions and the transitions, not by a state that a
template compares by hand."""

import re
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, nodes

from dingkao.app import create_app  # noqa: F401 - all transitions are declared with it
from dingkao.journal.state_machine import TRANSITIONS
from dingkao.people.permissions import ACTION_ROLES

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
FORM_MACROS = {"console_action_form", "action_form", "upload_form", "confirm_form"}
BUTTON = re.compile(r"<form\b|<button\b(?![^>]*type=\"button\")|type=\"submit\"")


def parsed_templates() -> Iterator[tuple[str, nodes.Template]]:
    """Each template with its syntax tree."""
    environment = Environment(extensions=["jinja2.ext.do"], autoescape=True)
    for file in sorted(TEMPLATES.rglob("*.html")):
        yield file.relative_to(TEMPLATES).as_posix(), environment.parse(file.read_text())


def compares_a_state(expression: nodes.Node, known: set[str]) -> bool:
    """Whether an expression compares what is called `state`, or reads a name of `known`, which was set by
    such one."""
    compared = [side for comparison in expression.find_all(nodes.Compare) for side in [comparison]]
    if isinstance(expression, nodes.Compare):
        compared.append(expression)
    for comparison in compared:
        for read in comparison.find_all((nodes.Getattr, nodes.Name)):
            if (read.attr if isinstance(read, nodes.Getattr) else read.name) == "state":
                return True
    names = list(expression.find_all(nodes.Name))
    if isinstance(expression, nodes.Name):
        names.append(expression)
    return any(name.name in known for name in names)


def has_button(branch: list[nodes.Node]) -> bool:
    """Whether something that sends a form stands in a branch of a template."""
    for node in branch:
        texts = [
            *node.find_all(nodes.TemplateData),
            *([node] if isinstance(node, nodes.TemplateData) else []),
        ]
        if any(BUTTON.search(text.data) for text in texts):
            return True
        for call in node.find_all(nodes.Call):
            called = call.node
            name = called.attr if isinstance(called, nodes.Getattr) else getattr(called, "name", "")
            if name in FORM_MACROS:
                return True
    return False


def buttons_by_state(template: nodes.Template) -> list[int]:
    """The lines of the conditions on a state within which a form or a button stands."""
    names = {
        assignment.target.name
        for assignment in template.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name) and compares_a_state(assignment.node, set())
    }
    found = []
    for condition in template.find_all(nodes.If):
        branches = [*condition.body, *condition.elif_, *condition.else_]
        if compares_a_state(condition.test, names) and has_button(branches):
            found.append(condition.lineno)
    return found


def test_no_template_decides_by_a_state_whether_a_button_stands():
    assert {name: lines for name, tree in parsed_templates() if (lines := buttons_by_state(tree))} == {}


def test_a_button_that_a_state_decides_is_noticed():
    environment = Environment(autoescape=True)
    for source in (
        "{% if row.state == 'draft' %}<form method='post'></form>{% endif %}",
        "{% if row.state != 'draft' %}-{% else %}{{ ui.action_form('/x', '撤回') }}{% endif %}",
        "{% set draft = row.state in ('draft',) %}{% if draft and may %}<button>提交</button>{% endif %}",
    ):
        assert buttons_by_state(environment.parse(source)) == [1], source
    assert buttons_by_state(environment.parse("{% if row.state == 'draft' %}草稿{% endif %}")) == []


def test_what_templates_ask_for_is_there():
    """Names of transitions and actions in templates are those of the code."""
    transitions = {function for _, function in TRANSITIONS}
    asked = {"can": [], "granted": []}
    for name, tree in parsed_templates():
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in asked:
                asked[call.node.name].append((name, call.args[0].as_const()))
    assert len(asked["can"]) > 10
    assert [(name, asked_for) for name, asked_for in asked["can"] if asked_for not in transitions] == []
    assert [(name, asked_for) for name, asked_for in asked["granted"] if asked_for not in ACTION_ROLES] == []
