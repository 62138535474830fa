"""The style sheets and the templates know of each other: nothing is written without its rules, and no rule
stands for nothing."""

import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from dingkao.web.script_bundles import join_module
from dingkao.web.written_assets import BUNDLES, write_assets

ROOT = Path(__file__).parents[2]
TEMPLATES, STATIC = ROOT / "templates", ROOT / "dingkao" / "static"
PAGES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))
WORD = re.compile(r"[A-Za-z][\w-]*")
USED = re.compile(r'\{%-? *(?:extends|include) "([^"]+)"')
"""Read without a parser: every process of a run that reads these tests looks for it."""
MODES = {"senior-mode"}
"""Classes that say how a page is shown: they stand before any component's."""


@cache
def parsed(name: str) -> nodes.Template:
    return Environment(autoescape=True).parse((TEMPLATES / name).read_text())


def own_words(node: nodes.Node) -> Iterator[str]:
    """The words in the text and the strings of a template, outside its macros."""
    if isinstance(node, nodes.TemplateData):
        yield from WORD.findall(node.data)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield from WORD.findall(node.value)
        if node.value.startswith("js/"):
            yield from script_words(node.value)
    for child in node.iter_child_nodes():
        if not isinstance(child, nodes.Macro):
            yield from own_words(child)


@cache
def script_words(name: str) -> frozenset[str]:
    """The words of a module and of those that it imports."""
    text = join_module(STATIC / "js", name.removeprefix("js/"))
    words = set(WORD.findall(text))
    for imported in re.findall(r'from "\./([\w-]+\.js)', text):
        words |= script_words(f"js/{imported}")
    return frozenset(words)


@cache
def macro_words(name: str, macro: str) -> frozenset[str]:
    """The words of a macro and of the macros that it calls."""
    found = next(node for node in parsed(name).find_all(nodes.Macro) if node.name == macro)
    words = {word for child in found.iter_child_nodes() for word in own_words(child)}
    return frozenset(words | called_words(name, found))


def called_words(name: str, node: nodes.Node) -> set[str]:
    """The words of the macros that are called below `node`, which stands in the template `name`."""
    imported = {block.target: block.template.as_const() for block in parsed(name).find_all(nodes.Import)}
    names = {macro.name for macro in parsed(name).find_all(nodes.Macro)}
    words: set[str] = set()
    for call in node.find_all(nodes.Call):
        called = call.node
        if isinstance(called, nodes.Name) and called.name in names:
            words |= macro_words(name, called.name)
        if isinstance(called, nodes.Getattr) and isinstance(called.node, nodes.Name):
            template = imported.get(called.node.name)
            words |= macro_words(template, called.attr) if template else set()
    return words


def parents(name: str) -> list[str]:
    """The template and what it extends or includes, layouts last."""
    found = [name]
    for part in USED.findall((TEMPLATES / name).read_text()):
        found += parents(part)
    return found


@cache
def page_words(name: str) -> set[str]:
    """Every word that a page may be written with, its scripts' included."""
    words: set[str] = set()
    for part in parents(name):
        for node in parsed(part).body:
            if not isinstance(node, nodes.Macro):
                words |= {*own_words(node)} | called_words(part, node)
    return words


def linked_files(name: str) -> set[str]:
    """The files of the page's own that it names in `styles`."""
    for part in parents(name):
        for node in parsed(part).find_all(nodes.Assign):
            if isinstance(node.target, nodes.Name) and node.target.name == "styles":
                return set(node.node.as_const())
    return set()


def selectors(file: Path) -> list[str]:
    """The selectors of a style sheet, one by one."""
    text = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", file.read_text(), flags=re.S)
    groups = re.findall(r"([^{}]+)\{", text)
    return [part.strip() for group in groups for part in re.split(r",(?![^()]*\))", group)]


def classes(selector: str) -> list[str]:
    """The classes that a selector asks for, from left to right."""
    return re.findall(r"\.([A-Za-z][\w-]*)", selector)


def components(file: Path) -> set[str]:
    """What a style sheet is for: the first class of each of its selectors."""
    found = ([name for name in classes(selector) if name not in MODES] for selector in selectors(file))
    return {names[0] for names in found if names}


@cache
def page_files() -> dict[str, set[str]]:
    """The style sheets that single pages ask for, with the classes that no sheet of every page begins
    with."""
    everywhere = set(BUNDLES["css/doctor.css"])
    files = {path.stem: path for path in (STATIC / "css" / "doctor").glob("*.css")}
    common = set().union(*(components(files[name]) for name in everywhere))
    return {stem: components(path) - common for stem, path in files.items() if stem not in everywhere}


DOCTOR_PAGES = [name for name in PAGES if "layouts/doctor.html" in parents(name)]
CONSOLE_PAGES = [name for name in PAGES if "layouts/console.html" in parents(name)]
BUILT_CLASSES = re.compile(r"(for|is|button|alert|btn|bg)-[\w-]+")
"""Classes that a template may put together from a prefix and a value."""


def test_the_pages_of_both_audiences_are_found():
    assert len(DOCTOR_PAGES) > 50
    assert len(CONSOLE_PAGES) > 50


@pytest.mark.parametrize("name", DOCTOR_PAGES)
def test_a_page_links_the_style_sheets_of_the_components_it_shows(name):
    words = page_words(name)
    asked = {stem for stem, owned in page_files().items() if owned & words}
    assert linked_files(name) == (asked if name != "layouts/doctor.html" else set())


def test_every_component_is_in_the_bundle_or_is_linked_by_a_page():
    linked = set().union(*(linked_files(name) for name in DOCTOR_PAGES))
    assert set(page_files()) == linked
    assert {path.stem for path in (STATIC / "css" / "console").glob("*.css")} == set(
        BUNDLES["css/console.css"]
    )


@pytest.mark.parametrize("audience", ["doctor", "console"])
def test_no_rule_stands_for_a_class_that_nothing_has(audience):
    sources = [*TEMPLATES.rglob("*.html"), *STATIC.glob("js/**/*.js"), *(ROOT / "dingkao").rglob("*.py")]
    words = {word for path in sources for word in WORD.findall(path.read_text())}
    asked = {
        name
        for path in (STATIC / "css" / audience).glob("*.css")
        for selector in selectors(path)
        for name in classes(selector)
    }
    assert {name for name in asked - words if not BUILT_CLASSES.fullmatch(name)} == set()


def test_a_bundle_is_written_once_and_again_when_a_component_changes(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(STATIC / "css", source / "css")
    write_assets(source, tmp_path / "written")
    bundle = tmp_path / "written" / "css" / "doctor.css"
    assert bundle.read_text().startswith((source / "css/doctor/tokens.css").read_text())
    st_mtime_ns = bundle.stat().st_mtime_ns
    write_assets(source, tmp_path / "written")
    assert bundle.stat().st_mtime_ns == st_mtime_ns
    (source / "css/doctor/lists.css").write_text(".changed { color: red }")
    write_assets(source, tmp_path / "written")
    assert bundle.read_text().endswith(".changed { color: red }")
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["console.css", "doctor.css"]


def written_classes(name: str) -> set[str]:
    """The classes that stand whole in the attributes of a template, whatever is put together beside them."""
    attributes = re.findall(r'class="([^"]*)"', (TEMPLATES / name).read_text())
    built = re.compile(r"\S*\{\{.*?\}\}\S*|\{%.*?%\}", re.DOTALL)
    fixed = (built.sub(" ", attribute) for attribute in attributes)
    return {word for attribute in fixed for word in attribute.split()}


def test_every_class_of_the_console_has_rules():
    """Tabler's sheet is purged at set-up: a class that a template newly asks for must be in what was left of
    it, or be ours."""
    tabler = STATIC / "vendor" / "tabler.css"
    assert tabler.exists(), "run deploy/frontend/copy"
    sheets = [tabler, *(STATIC / "css" / "console").glob("*.css")]
    known = {name for sheet in sheets for selector in selectors(sheet) for name in classes(selector)}
    parts = {part for page in CONSOLE_PAGES for part in parents(page)}
    used = {name for part in parts | {"components/console.html"} for name in written_classes(part)}
    assert used - known == set(), "run deploy/frontend/copy"
