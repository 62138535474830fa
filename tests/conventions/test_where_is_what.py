"""The table of architecture.md «Where is what» names files that are there, and names that stand in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| [^|]+ \| `([\w/.-]+)` \| ([^|]*)\|$", re.MULTILINE)


def table_rows() -> list[tuple[str, list[str]]]:
    """File → the names that the table says stand in it."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("## Where is what\n")[1].split("\n## ")[0]
    rows = [(file, re.findall(r"`(\w+)`", names)) for file, names in ROW.findall(section)]
    assert len(rows) == section.count("\n| ") - 1, "the heading, and a row that is read for every other line"
    return rows


def place_of(file: str) -> Path:
    """Where a file of the table is: templates at the root, all else in dingkao/."""
    return ROOT / file if file.startswith("templates/") else ROOT / "dingkao" / file


def test_every_name_of_the_table_stands_in_its_file():
    rows = table_rows()
    assert len(rows) > 60
    gone = [
        f"{file}: {name}"
        for file, names in rows
        for name in ["", *names]
        if not place_of(file).exists() or not re.search(rf"(?<!\w){name}\b", place_of(file).read_text())
    ]
    assert gone == []
