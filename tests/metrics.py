"""`python -m tests.metrics`: figures of how readable the code is, for the product, the tests and the templates.

`--check NAME=BAR …` ends with status 1 where the product's figure NAME lies above BAR (`tests.NAME=BAR`,
`templates.NAME=BAR`: that of the tests, of the templates); `--show NAME …` lists what the product's figure
counts, the worst first (`templates.NAME`: what that of the templates counts).
"""

import argparse
import ast
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean

from radon.complexity import cc_visit

ROOT = Path(__file__).resolve().parents[1]
SCOPES = {"product": ("dingkao/", "migrations/", "wsgi.py"), "tests": ("tests/",)}
FILE_PATTERNS = {"templates": ("templates/*.html", "templates/*.css")}
COLUMNS, COMPLEX, LONG_FILE, MAX_SHOWN = 110, 10, 400, 50
_VAGUE = """
about added after again another around asked at before begun beside both bound brought by changed chosen counted done drawn each
earlier else every few found fresh further given gone got had has held here in it kept known later least left listed made many
mine more most moved named near new next of old on one ones onward other others out own rest row rows said same seen sent shown
since some something standing still such taken that theirs them there thing things this those told typed until waits wanted where
which whole whom with written yes yet
"""
VAGUE_NAMES = frozenset(_VAGUE.split())
"""Names that don't say what they hold: adverbs, pronouns, prepositions, bare participles, and «row»."""
SAME_NAME_EXPECTED = {"__init__", "__main__", "conftest", "models"}
OF_AUDIENCES = ("blueprints", "cli")
"""Folders whose modules are named after the room that they show, so that the same name means the same."""


@dataclass(frozen=True)
class Source:
    """A file of Python, or a template: its path in the repository, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def complexities(self) -> list[tuple[float, str]]:
        """Radon's cyclomatic complexity of each function and method, which counts conditional expressions,
        comprehensions and boolean operators too."""
        blocks = [block for block in cc_visit(self.text) if block.letter in "FM"]
        return [(block.complexity, f"{self.path}:{block.lineno} {block.fullname}") for block in blocks]

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return self.text.splitlines()


@dataclass
class Measure:
    """A figure, and what it counts: (weight, where and what), to be listed with the heaviest first."""

    value: float
    items: list[tuple[float, str]] = field(default_factory=list)


def width(text: str) -> int:
    """Columns that a text takes on a screen: two for a character that Unicode calls wide (W) or fullwidth
    (F), one for any other."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def code_lines(source: Source) -> Iterator[tuple[int, str]]:
    """The numbered lines that hold code: no blank ones, no lines of comment alone, no docstrings."""
    strings = set[int]()
    for node in ast.walk(source.tree):
        for statement in (
            getattr(node, "body", None) or () if not isinstance(node, ast.Lambda | ast.IfExp) else ()
        ):
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                strings.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    for number, line in enumerate(source.lines, 1):
        if line.strip() and number not in strings and not line.lstrip().startswith("#"):
            yield number, line


def characters(sources: list[Source]) -> Measure:
    """Mean number of characters (code points, with the indentation) of a line of code."""
    lengths = [len(line) for source in sources for _, line in code_lines(source)]
    return Measure(mean(lengths) if lengths else 0)


def table_lines(source: Source) -> set[int]:
    """The lines of data tables: literal collections assigned in a module or class and marked «fmt: skip»."""
    numbers = set[int]()
    bodies = [
        source.tree.body,
        *(node.body for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)),
    ]
    for statement in (statement for body in bodies for statement in body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        last = statement.end_lineno or statement.lineno
        if (
            isinstance(statement.value, ast.Tuple | ast.List | ast.Dict | ast.Set)
            and "# fmt: skip" in source.lines[last - 1]
        ):
            numbers.update(range(statement.lineno, last + 1))
    return numbers


def long_lines(sources: list[Source], *, tables: bool = True) -> list[tuple[float, str]]:
    """Lines of more than COLUMNS columns, docstrings and comments too; without those of data tables where
    `tables` is False."""
    findings: list[tuple[float, str]] = []
    for source in sources:
        left_out = set() if tables else table_lines(source)
        for number, line in enumerate(source.lines, 1):
            if number not in left_out and width(line) > COLUMNS:
                findings.append((width(line), f"{source.path}:{number}"))
    return findings


def share_of_long_lines(sources: list[Source]) -> Measure:
    """Per cent of the lines that aren't blank."""
    findings = long_lines(sources)
    total = sum(bool(line.strip()) for source in sources for line in source.lines)
    return Measure(100 * len(findings) / max(total, 1), findings)


def long_lines_outside_tables(sources: list[Source]) -> Measure:
    """How many stand outside data tables."""
    findings = long_lines(sources, tables=False)
    return Measure(len(findings), findings)


def complexities(sources: list[Source]) -> list[tuple[float, str]]:
    """The complexity of each function."""
    return [complexity for source in sources for complexity in source.complexities]


def complexity(sources: list[Source]) -> Measure:
    """The mean of all functions."""
    values = complexities(sources)
    return Measure(mean(value for value, _ in values) if values else 0, values)


def complex_functions(sources: list[Source]) -> Measure:
    """Per cent of the functions that are above COMPLEX."""
    functions = complexities(sources)
    above_bar = [(value, place) for value, place in functions if value > COMPLEX]
    return Measure(100 * len(above_bar) / max(len(functions), 1), above_bar)


def vague_names(sources: list[Source]) -> Measure:
    """Per cent of the names bound by assignment, loop, comprehension, `with` or `:=` that say nothing; each
    binding counts."""
    count, counts = 0, dict[str, int]()
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                count += 1
                if node.id.strip("_").lower() in VAGUE_NAMES:
                    counts[node.id] = counts.get(node.id, 0) + 1
    return Measure(
        100 * sum(counts.values()) / max(count, 1), [(number, name) for name, number in counts.items()]
    )


def unformatted(sources: list[Source]) -> Measure:
    """How many files `ruff format --check` would change."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--check",
        "--output-format=concise",
        *(source.path for source in sources),
    ]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout  # noqa: S603 - our own files
    matches = sorted(set(re.findall(r"^(.+?):\d+:\d+: unformatted", output, re.MULTILINE)))
    return Measure(len(matches), [(0, path) for path in matches])


def long_files(sources: list[Source]) -> Measure:
    """How many files have more than LONG_FILE lines."""
    findings = [
        (float(len(source.lines)), source.path) for source in sources if len(source.lines) > LONG_FILE
    ]
    return Measure(len(findings), findings)


def shared_names(sources: list[Source]) -> Measure:
    """How many names several rooms give a module, without those that stand for the same everywhere."""
    places: dict[str, list[str]] = {}
    for source in sources:
        path = Path(source.path)
        if path.stem not in SAME_NAME_EXPECTED and path.parts[1:2] not in [
            (folder,) for folder in OF_AUDIENCES
        ]:
            places.setdefault(path.stem, []).append(source.path)
    findings = [
        (float(len(paths)), ", ".join(paths))
        for paths in places.values()
        if len({Path(p).parent for p in paths}) > 1
    ]
    return Measure(len(findings), findings)


def tests(sources: list[Source]) -> Measure:
    """How many functions are tests; one with several cases counts once."""
    nodes = (node for source in sources for node in ast.walk(source.tree))
    return Measure(sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in nodes))


MEASURES: dict[str, tuple[str, Callable[[list[Source]], Measure]]] = {
    "characters": ("characters per code line, mean", characters),
    "long_lines": (f"lines of more than {COLUMNS} columns, %", share_of_long_lines),
    "long_lines_outside_tables": ("the same outside data tables", long_lines_outside_tables),
    "complexity": ("cyclomatic complexity, mean", complexity),
    "complex_functions": (f"functions of a complexity over {COMPLEX}, %", complex_functions),
    "unformatted": ("files that ruff format would change", unformatted),
    "vague_names": ("assigned names that say nothing, %", vague_names),
    "long_files": (f"files of more than {LONG_FILE} lines", long_files),
    "shared_names": ("module names in more than one room", shared_names),
    "files": ("files", lambda sources: Measure(len(sources))),
    "tests": ("tests", tests),
}


def number_of_long_lines(sources: list[Source]) -> Measure:
    """How many lines are too long, whatever they hold."""
    findings = long_lines(sources)
    return Measure(len(findings), findings)


TEMPLATE_MEASURES: dict[str, tuple[str, Callable[[list[Source]], Measure]]] = {
    "long_lines": (f"lines of templates of more than {COLUMNS} columns", number_of_long_lines),
}


def sources_of(scope: str) -> list[Source]:
    """The files of a scope, as they stand in the working tree."""
    patterns = FILE_PATTERNS.get(scope, ("*.py",))
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    paths = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    matching_fromkeys = [
        path
        for path in dict.fromkeys(paths)
        if path.startswith(SCOPES.get(scope, f"{scope}/")) and (ROOT / path).is_file()
    ]
    return [Source(path, (ROOT / path).read_text()) for path in matching_fromkeys]


def exceeded(bars: list[str], measures: dict[str, dict[str, Measure]]) -> Iterator[str]:
    """Of bars «NAME=BAR» or «SCOPE.NAME=BAR» those that a figure lies above, as sentences. Raises ValueError
    for what is no bar."""
    for text in bars:
        name, _, bar = text.partition("=")
        scope, _, name = name.rpartition(".")
        if name not in measures.get(scope or "product", ()):
            raise ValueError(f"no figure: {text}")
        value = measures[scope or "product"][name].value
        if value > float(bar):
            yield f"{scope or 'product'}.{name} is {value:.2f}, above {bar}"


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", nargs="+", default=[], metavar="NAME=BAR", help=f"NAME: {', '.join(MEASURES)}"
    )
    of_templates = [f"templates.{name}" for name in TEMPLATE_MEASURES]
    parser.add_argument("--show", nargs="+", default=[], metavar="NAME", choices=[*MEASURES, *of_templates])
    arguments = parser.parse_args()
    measures: dict[str, dict[str, Measure]] = {}
    for scope in SCOPES:
        sources = sources_of(scope)
        measures[scope] = {name: measure(sources) for name, (_, measure) in MEASURES.items()}
    templates = sources_of("templates")
    measures["templates"] = {name: measure(templates) for name, (_, measure) in TEMPLATE_MEASURES.items()}
    report = [f"| measure | {' | '.join(SCOPES)} | name |", f"|---|{'---|' * len(SCOPES)}---|"]
    for name, (label, _) in MEASURES.items():
        values = [measures[scope][name].value for scope in SCOPES]
        cells = [f"{value:.1f}" if isinstance(value, float) else str(value) for value in values]
        report.append(f"| {label} | {' | '.join(cells)} | {name} |")
    for name, (label, _) in TEMPLATE_MEASURES.items():
        report.append(f"| {label} | {measures['templates'][name].value} | | templates.{name} |")
    for name in arguments.show:
        scope, _, measure_name = name.rpartition(".")
        heaviest = sorted(
            measures[scope or "product"][measure_name].items, key=lambda item: (-item[0], item[1])
        )
        report += ["", name, *(f"{weight:g}\t{text}" for weight, text in heaviest[:MAX_SHOWN])]
    above = list(exceeded(arguments.check, measures))
    print("\n".join([*report, *above]))  # noqa: T201
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
