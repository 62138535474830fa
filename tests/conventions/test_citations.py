"""Every paper, section and number that code, templates and tests cite stands in docs/; what the papers name
is there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.conventions.test_punctuation import TO_THE_LETTER

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PLACES = (
    "dingkao/**/*.py",
    "dingkao/static/js/**/*.js",
    "templates/**/*.html",
    "migrations/**/*.py",
    "tests/**/*.py",
    "Makefile",
)
NUMBERS = r"\d+[a-c]?(?:(?:, | and | to )\d+[a-c]?)*"
PAPER = re.compile(r"(?<![\w/.-])([a-z][a-z-]*)\.md\b")
HEADING = re.compile(r"\b([a-z][a-z-]*)\.md «([^»]+)»")
DOMAIN_SECTION = re.compile(rf"(?<!\d )§(\d+(?:\.\d+)?)(?: (?:nos?\. )?({NUMBERS}))?")
NUMBERED = re.compile(rf"\b(security|tenancy)\.md (?:rules? )?({NUMBERS})")
SCREEN = re.compile(r"\[(S\d+)\]")
MODULE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|js)|(?:[\w-]+/)+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@cache
def paper(name: str) -> str:
    """The text of a paper of docs/, "" of none."""
    path = DOCS / f"{name}.md"
    return path.read_text() if path.exists() else ""


def numbers_of(text: str) -> set[str]:
    """The numbers that begin rows of tables and entries of numbered lists."""
    matches = re.findall(r"^\| ([0-9][^|]*) \|", text, re.MULTILINE)
    listed = re.findall(r"^(\d+)\. ", text, re.MULTILINE)
    return {number for row in matches for number in row.split(", ")} | set(listed)


@cache
def sections_of_domain() -> dict[str, set[str]]:
    """Number of a section of domain.md → the numbers within it."""
    parts = re.split(r"^#{2,3} (\d+(?:\.\d+)?)\.? .*$", paper("domain"), flags=re.MULTILINE)
    return {number: numbers_of(text) for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def each_of(numbers: str) -> list[str]:
    """«1 to 3, 5 and 10b» → 1, 2, 3, 5, 10b."""
    found: list[str] = []
    for part in re.split(", | and ", numbers):
        first, _, last = part.partition(" to ")
        found += [str(number) for number in range(int(first), int(last) + 1)] if last else [part]
    return found


def unfounded(text: str) -> list[str]:
    """The citations of a text that lead nowhere."""
    text = re.sub(r"\s+(?:# )?", " ", text)
    wrong = [f"{name}.md" for name in PAPER.findall(text) if not paper(name)]
    wrong += [
        f"{name}.md «{title}»" for name, title in HEADING.findall(text) if f"# {title}\n" not in paper(name)
    ]
    for section, numbers in DOMAIN_SECTION.findall(text):
        known = sections_of_domain().get(section)
        if known is None or not known.issuperset(each_of(numbers) if numbers else ()):
            wrong.append(f"domain.md §{section} {numbers}")
    for name, numbers in NUMBERED.findall(text):
        wrong += [
            f"{name}.md {number}" for number in each_of(numbers) if number not in numbers_of(paper(name))
        ]
    return wrong + [
        f"[{screen}]" for screen in SCREEN.findall(text) if f"**[{screen}] " not in paper("manual")
    ]


def test_no_citation_leads_nowhere():
    files = [path for place in PLACES for path in ROOT.glob(place) if "vendor" not in path.parts]
    assert len(files) > 300
    wrong = [
        f"{path.relative_to(ROOT)}: {what}"
        for path in files
        if path != Path(__file__)
        for what in unfounded(path.read_text())
    ]
    assert wrong == []


def test_papers_cite_one_another_rightly():
    papers = [ROOT / "README.md", *DOCS.rglob("*.md")]
    wrong = [f"{path.relative_to(ROOT)}: {what}" for path in papers for what in unfounded(path.read_text())]
    for path in [*papers, *ROOT.glob("*.md")]:
        links = LINK.findall(path.read_text())
        wrong += [f"{path.relative_to(ROOT)}: {link}" for link in links if not (path.parent / link).exists()]
    assert wrong == []


def test_every_module_and_folder_that_the_papers_name_is_there():
    above = [
        ROOT / folder
        for folder in ("", "dingkao", "dingkao/blueprints", "dingkao/static", "templates", "tests")
    ]
    named = {
        (path, name)
        for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
        for name in MODULE.findall(path.read_text())
    }
    assert len(named) > 50
    made_later = {"var/", "vendor/", "migrations/versions/NNNN_title.py"}
    gone = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in named
        if name not in made_later and not any((top / name).exists() for top in above)
    ]
    assert sorted(gone) == []


@pytest.mark.parametrize(
    "text",
    [
        "(nowhere.md)",
        "domain.md §10",
        "domain.md §2.4",
        "(domain.md §11 no. 35)",
        "domain.md §11 nos. 6\n    and 40",
        "§6 no. 22",
        "domain.md §11, §15",
        "security.md 26",
        "security.md 1 to 5 and 27",
        "tenancy.md rule 13",
        "[S21]",
        "architecture.md «The attic»",
    ],
)
def test_a_citation_that_leads_nowhere_is_noticed(text):
    assert unfounded(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "domain.md §2.1, step 4",
        "domain.md §11 nos. 6 and 9",
        "domain.md §11\n# nos. 18, 24, 33",
        "(§11 no. 16c, §12)",
        "domain.md §12 ◔",
        "security.md 1 to 5 and 7",
        "security.md 5, 6 and 7",
        "tenancy.md rule 5",
        "[S15] to [S18]",
        "README.md",
        "architecture.md «The journal»",
    ],
)
def test_a_citation_that_leads_somewhere_is_none(text):
    assert unfounded(text) == []


def test_every_line_of_the_security_list_names_a_test_that_is_there():
    matching_lines = [row for row in paper("security").splitlines() if re.match(r"\| \d", row)]
    assert len(matching_lines) == 25
    assert [row[:40] for row in matching_lines if "`test_" not in row and "not covered" not in row] == []
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = {
        name for text in (paper("security"), paper("tenancy")) for name in re.findall(r"`(test_\w+)`", text)
    }
    assert sorted(named - defined) == []


def test_the_manual_holds_its_texts_to_the_letter():
    assert [text for text in TO_THE_LETTER if text not in paper("manual")] == []
