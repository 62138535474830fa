"""Style sheets and modules that aren't served as they are in static/, written to a folder of their own at
start.

The components of an audience's style sheet become one file, so that a page requests one and not ten; so do
the parts of a module (web/script_bundles).
The path of an imported module gets the version of its content, as URLs in pages do: browsers cache files for
a year, and an import without a version could combine a new module with an old release of another.
"""

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from dingkao.web.script_bundles import join_module

FOLDER = "written"
BUNDLES = {
    "css/doctor.css": (
        "tokens",
        "base",
        "layout",
        "buttons",
        "alerts",
        "cards",
        "forms",
        "lists",
    ),
    "css/console.css": (
        "tokens",
        "base",
        "layout",
        "tables",
        "dashboard",
        "records",
        "charts",
        "questions",
        "halls",
        "filters",
        "listing",
        "print",
    ),
}
"""Served file → the components in the folder of the same name, in the order that decides between CSS rules of
equal specificity."""
IMPORTED = re.compile(r'(?<= from "\./)[\w-]+\.js(?=";)')


def version_of(content: bytes) -> str:
    """The version in a URL: it changes with the content."""
    return hashlib.sha256(content).hexdigest()[:10]


def write_assets(source: Path, target: Path) -> None:
    """Write the bundles and modules of the static folder `source` to `target`; files that have the same
    content already stay untouched. Raises ValueError for modules whose parts can't be joined, RecursionError
    for a circle of imports."""
    for name, components in BUNDLES.items():
        folder = (source / name).with_suffix("")
        content = "\n".join((folder / f"{component}.css").read_text() for component in components)
        _replace_if_changed(target / name, content)
    for name, content in versioned_modules(source / "js").items():
        _replace_if_changed(target / "js" / name, content)


def versioned_modules(folder: Path) -> dict[str, str]:
    """The texts of the modules of a folder by file name, joined with their parts, with a version at each
    import. Raises RecursionError if modules import each other in a circle, ValueError for parts that can't be
    joined (`join_module`)."""

    @cache
    def versioned(name: str) -> str:
        """The joined text of the module `name`, with a version at each import."""
        return IMPORTED.sub(with_version, join_module(folder, name))

    def with_version(imported: re.Match[str]) -> str:
        """The file name of an import with the version of that module's text."""
        name = imported.group()
        return f"{name}?v={version_of(versioned(name).encode())}"

    return {file.name: versioned(file.name) for file in sorted(folder.glob("*.js"))}


def _replace_if_changed(file: Path, content: str) -> None:
    """Write a file if its content differs. It is replaced atomically, because several processes start at the
    same time."""
    if file.exists() and file.read_text() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_text(content)
    os.replace(unfinished, file)
