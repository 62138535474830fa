"""Modules in several files: each file imports what it uses of the others, each belongs to the whole, and
joined they say the same."""

import re
from pathlib import Path

import pytest

from dingkao.web.script_bundles import COMMENT_LINE, DECLARED, EXPORTED, IMPORT, join_module

SCRIPTS = Path(__file__).resolve().parents[2] / "dingkao" / "static" / "js"
MODULES = sorted(folder.name for folder in SCRIPTS.iterdir() if folder.is_dir())
COMMENT = re.compile(r"(?<![\w:\"`'])//.*")
STRING = re.compile(r'"[^"\n]*"')


def imported_names(file: Path) -> dict[Path, set[str]]:
    """The file imported from → the names."""
    return {
        (file.parent / path).resolve(): set(re.findall(r"\w+", names))
        for names, path in IMPORT.findall(file.read_text())
    }


def declared_names(text: str) -> set[str]:
    """What a module declares at its top level."""
    found = DECLARED.findall(EXPORTED.sub("", text))
    return {name for many, one in found for name in (re.findall(r"(\w+)\s*(?:,|$)", many) or [one])}


def exported_names(file: Path) -> set[str]:
    """What others may import from a file."""
    lines = file.read_text().splitlines()
    return declared_names("\n".join(line for line in lines if line.startswith("export ")))


def used_names(file: Path) -> set[str]:
    """The words of a file that aren't in texts, nor properties, nor the names of a literal's members."""
    code = STRING.sub('""', COMMENT.sub("", IMPORT.sub("", file.read_text())))
    return set(re.findall(r"(?<![\w$]\.)(?<!\?\.)(?<!\]\.)(?<!\)\.)\b(\w+)\b(?!\s*:)", code))


@pytest.mark.parametrize("name", MODULES)
def test_a_part_imports_what_it_uses_of_the_others(name):
    module, parts = SCRIPTS / f"{name}.js", sorted((SCRIPTS / name).glob("*.js"))
    owners = {declared: file for file in (module, *parts) for declared in declared_names(file.read_text())}
    for file in (module, *parts):
        imported = imported_names(file)
        assert set().union(*imported.values()) <= used_names(file), file
        foreign = {one: owner for one, owner in owners.items() if owner != file and one in used_names(file)}
        missing = {one for one, owner in foreign.items() if one not in imported.get(owner, set())}
        assert missing == set(), file
        for path, names in imported.items():
            assert names <= exported_names(path), file


@pytest.mark.parametrize("name", MODULES)
def test_all_parts_are_joined(name):
    joined = join_module(SCRIPTS, f"{name}.js")
    assert f'"./{name}/' not in joined
    for part in (SCRIPTS / name).glob("*.js"):
        code = COMMENT_LINE.sub("", EXPORTED.sub("", IMPORT.sub("", part.read_text())))
        assert code in joined, part


def write(folder: Path, files: dict[str, str]) -> Path:
    """The folder with these modules."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_parts_stand_in_the_order_of_their_imports_below_what_others_give(tmp_path):
    files = {
        "a.js": 'import { x } from "./b.js";\nimport { two } from "./a/two.js";\n\nexport { two };\nx(two);\n',
        "a/two.js": 'import { y } from "../b.js";\nimport { one } from "./one.js";\nexport const two = y(one);\n',
        "a/one.js": "export const one = 1;\n",
        "b.js": "export const x = 1;\nexport const y = 2;\n",
    }
    folder = write(tmp_path, files)
    assert join_module(folder, "a.js") == (
        'import { x, y } from "./b.js";\nconst one = 1;\n\nconst two = y(one);\n\n\nexport { two };\nx(two);\n'
    )
    assert join_module(folder, "b.js") == files["b.js"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("export const same = 1;\n", "const same = 2;\n"),
        ("const { a: same, b } = {};\n", "function same() {}\n"),
        ("export default 1;\n", ""),
        ('import "../b.js";\n', ""),
        ("", 'import { one as renamed } from "./one.js";\n'),
    ],
)
def test_what_joining_would_change_is_refused(tmp_path, first, second):
    folder = write(
        tmp_path,
        {
            "a.js": 'import {} from "./a/one.js";\nimport {} from "./a/two.js";\n',
            "a/one.js": first,
            "a/two.js": second,
        },
    )
    with pytest.raises(ValueError, match=r"same|export default|import|renamed"):
        join_module(folder, "a.js")


def test_lines_of_comment_are_left_out_and_no_text_over_several_lines_has_one():
    scripts = sorted(SCRIPTS.rglob("*.js"))
    assert any(COMMENT_LINE.search(script.read_text()) for script in scripts)
    for script in scripts:
        for text in re.findall(r"`[^`]*`", script.read_text()):
            assert not COMMENT_LINE.search(text), script
    for name in (path.name for path in SCRIPTS.glob("*.js")):
        assert not COMMENT_LINE.search(join_module(SCRIPTS, name)), name
