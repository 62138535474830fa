"""Our modules that consist of several files and are served as one.

What `sitting.js` imports from the folder `sitting/` is part of it. The parts are joined at start, so that a
page requests a single file, and a phone whose connection is cut has all of it or nothing. The files are
modules, with imports and exports; joined they share one scope, in which a name may be declared only once."""

import re
from pathlib import Path

IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[\w./-]+)";\n', re.MULTILINE)
EXPORTED = re.compile(r"^export (?=(?:const|let|class|function|async function) )", re.MULTILINE)
DECLARED = re.compile(r"^(?:const|let|class|function|async function) (?:\{([^}]*)\}|(\w+))", re.MULTILINE)
COMMENT_LINE = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
"""A line that is nothing but a comment; phones needn't fetch it. No text of ours over several lines has
one."""
LEFT_IN_MODULE = re.compile(r"^import\b.*", re.MULTILINE)
LEFT_IN_PART = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
"""Imports and exports that the rules above don't remove, and that can't be joined."""


def join_module(folder: Path, name: str) -> str:
    """The text of the module `name` of a folder, joined with its parts, each after those that it imports,
    without lines that are comments. Raises RecursionError for parts that import each other in a circle,
    ValueError for statements that can't be joined and for a name that two parts declare."""
    if not (folder / name).with_suffix("").is_dir():
        return COMMENT_LINE.sub("", (folder / name).read_text())
    return COMMENT_LINE.sub("", _Bundle(folder / name).text())


class _Bundle:
    """A module that is being joined. `imports`: names imported from other modules, by file name; `texts`: the
    texts of its parts by path, in the order in which a browser would evaluate them."""

    def __init__(self, module: Path) -> None:
        self.module, self.part_folder = module, module.with_suffix("")
        self.imports: dict[str, set[str]] = {}
        self.texts: dict[Path, str] = {}
        self._add(module)

    def text(self) -> str:
        """The text of the joined module. Raises ValueError if two parts declare the same name."""
        self._require_names_once()
        imports = [
            f'import {{ {", ".join(sorted(names))} }} from "./{name}";\n'
            for name, names in self.imports.items()
        ]
        return "".join(imports) + "\n".join(self.texts.values())

    def _add(self, file: Path) -> None:
        """Add a file after the parts that it imports. Raises ValueError for an import or export that can't be
        joined, RecursionError for parts that import each other in a circle."""
        text = file.read_text()
        for listed, path in IMPORT.findall(text):
            imported = (file.parent / path).resolve()
            names = [name.strip() for name in listed.split(",") if name.strip()]
            if imported.parent != self.part_folder.resolve():
                self.imports.setdefault(imported.name, set()).update(names)
                continue
            if renamed := [name for name in names if " as " in name]:
                raise ValueError(f"{file}: {renamed[0]}")
            if imported not in self.texts:
                self._add(imported)
        text = IMPORT.sub("", text)
        if file != self.module:
            text = EXPORTED.sub("", text)
        if statement := (LEFT_IN_MODULE if file == self.module else LEFT_IN_PART).search(text):
            raise ValueError(f"{file}: {statement.group()}")
        self.texts[file.resolve()] = text

    def _require_names_once(self) -> None:
        """Raise ValueError if two parts declare the same name."""
        owners: dict[str, Path] = {}
        for file, text in self.texts.items():
            for destructured, name in DECLARED.findall(EXPORTED.sub("", text)):
                for declared in re.findall(r"(\w+)(?=\s*(?:,|$))", destructured) or [name]:
                    if owners.setdefault(declared, file) != file:
                        raise ValueError(f"{declared} is declared in {owners[declared].name} and {file.name}")
