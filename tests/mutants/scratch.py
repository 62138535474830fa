"""A copy of the working tree in which a mutant stands, and what is known of the tests in it."""

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from dingkao.processes import terminate_with_parent
from tests.mutants.catalogue import Mutant

ROOT = Path(__file__).resolve().parents[2]
RECORDS_FOLDER = ROOT / ".mutants"
"""Where results and the record of coverage are kept, outside git."""
NOT_IN_GIT = (".venv", "dingkao/static/vendor", "tests/look/vendor", "tests/rooms/vendor")
"""What a tree needs and git doesn't have; a copy is given links to it."""
TEST_SECONDS, RUN_SECONDS = 180, 600
PASSED, FAILED = 0, 1
_PARTS = re.compile(r"\w+|[^\w\s]")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", re.MULTILINE)


class Unfit(Exception):  # noqa: N818
    """A mutant can't be put into the code, or nothing can be run against it; the text says which and why."""


def place_of(mutant: Mutant, text: str) -> tuple[int, int]:
    """Where the mutant's `old` lies in the text of its file: beginning and end. Blanks and line breaks
    between its words and signs make no difference, nor does a comma before a closing bracket, so that a file
    may be laid out anew. Raises Unfit unless it is there exactly once."""
    parts = _PARTS.findall(mutant.original)
    pattern = ""
    for previous, part in zip(["", *parts], parts, strict=False):
        if previous:
            both_words = previous[-1].isidentifier() and part[0].isidentifier()
            pattern += r"\s+" if both_words else r"\s*"
        pattern += (r"(?:,\s*)?" if part in ")]}" else "") + re.escape(part)
    spans = [match.span() for match in re.finditer(pattern, text)]
    if len(spans) != 1:
        raise Unfit(f"{mutant.name}: found {len(spans)} times in {mutant.file}: {mutant.original}")
    return spans[0]


def mutated(mutant: Mutant, text: str) -> str:
    """The text of the file with the mutant in it. Raises Unfit where that is no Python any more."""
    start, end = place_of(mutant, text)
    mutated_text = text[:start] + mutant.replacement + text[end:]
    try:
        compile(mutated_text, mutant.file, "exec")
    except SyntaxError as error:
        raise Unfit(f"{mutant.name}: no Python with it: {error}") from error
    return mutated_text


def anchored(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the mutant's file with the mutant in it. Raises Unfit."""
    file = root / mutant.file
    if not file.is_file():
        raise Unfit(f"{mutant.name}: no file {mutant.file}")
    return mutated(mutant, file.read_text())


@lru_cache(maxsize=256)
def tests_in(file: Path) -> frozenset[str]:
    """The names of the test functions of a file; empty where there is no such file."""
    if not file.is_file():
        return frozenset()
    functions = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def known_tests(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """What `tests` names, as far as it is there: of a test that isn't the whole file. Raises Unfit where
    nothing is left."""
    test_ids: list[str] = []
    for test in mutant.tests:
        path, _, name = test.partition("::")
        names = tests_in(root / path)
        if names:
            test_ids.append(test if name.partition("[")[0] in names else path)
    if not test_ids:
        raise Unfit(f"{mutant.name}: none of its tests is there: {', '.join(mutant.tests)}")
    return list(dict.fromkeys(test_ids))


@dataclass(frozen=True)
class Run:
    """What came of running tests: pytest's exit status, the first test that failed and what of it, what was
    printed, the seconds."""

    status: int
    failed: str
    why: str
    output: str
    seconds: float


@dataclass(frozen=True)
class Scratch:
    """A copy of the working tree at `path`."""

    path: Path

    def run(self, tests: Sequence[str], *options: str) -> Run:
        """Run tests in the copy, up to the first that fails unless `options` say otherwise. One that takes
        longer than RUN_SECONDS is ended and counts as failed."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-rfE",
            "--tb=line",
            "--no-header",
            "-p",
            "no:cacheprovider",
        ]
        environment = os.environ | {"PYTHONPATH": str(self.path)}
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own tests
            [*command, f"--timeout={TEST_SECONDS}", *options, *tests],
            cwd=self.path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(terminate_with_parent, os.getpid(), signal.SIGTERM),
        )
        try:
            output, _ = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate()
            return Run(FAILED, "", "did not end", output, time.monotonic() - began)
        first = _FAILED.search(output)
        failed, why = (first[1], first[2] or "") if first else ("", "")
        return Run(process.returncode, failed, why, output, time.monotonic() - began)

    @contextmanager
    def having(self, mutant: Mutant) -> Iterator[None]:
        """The mutant stands in the copy while the block lasts. Raises Unfit."""
        file = self.path / mutant.file
        mutated_text, original, times = anchored(mutant, self.path), file.read_text(), file.stat()
        try:
            self._write(file, mutated_text)
            yield
        finally:
            self._write(file, original)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    @staticmethod
    def _write(file: Path, text: str) -> None:
        file.write_text(text)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()


@contextmanager
def copied() -> Iterator[Scratch]:
    """A copy of the working tree, with what isn't committed yet; gone at the end."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    paths = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")  # noqa: S603
    with tempfile.TemporaryDirectory(prefix="dingkao-mutants-") as folder:
        path = Path(folder) / "dingkao"
        for name in dict.fromkeys(filter(None, paths)):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        for name in NOT_IN_GIT:
            if (ROOT / name).exists() and not (path / name).exists():
                (path / name).symlink_to(ROOT / name)
        yield Scratch(path)


# --- which tests come by a line, as it was recorded


def covering(mutant: Mutant) -> list[str]:
    """The tests that came by the mutant's lines when coverage was recorded, or by its file, where that has
    changed since or the lines are run when it is imported. Empty without a record."""
    record, digests = RECORDS_FOLDER / "coverage", RECORDS_FOLDER / "digests.json"
    if not (record.is_file() and digests.is_file()):
        return []
    from coverage import CoverageData  # not needed where nothing was recorded

    data = CoverageData(str(record))
    data.read()
    by_line = data.contexts_by_lineno(str(ROOT / mutant.file))
    text = (ROOT / mutant.file).read_text()
    start, end = place_of(mutant, text)
    lines = range(text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 2)
    is_current = json.loads(digests.read_text()).get(mutant.file) == digest(text)
    of_lines = {test for line in lines for test in by_line.get(line, ())} - {""} if is_current else set()
    covering_tests = of_lines or {test for tests in by_line.values() for test in tests} - {""}
    return sorted(
        test
        for test in covering_tests
        if test.partition("[")[0].rpartition("::")[2] in tests_in(ROOT / test.partition("::")[0])
    )


def digest(text: str) -> str:
    """By which it is known that a file is as it was."""
    return hashlib.sha256(text.encode()).hexdigest()


def record(paths: Sequence[str], workers: int) -> int:
    """Run tests of the working tree (all without `paths`) and add to the record which of them come by which
    lines; pytest's status."""
    from coverage import Coverage

    RECORDS_FOLDER.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.mutants.recording",
        "-p",
        "no:cacheprovider",
        "-n",
        str(workers),
    ]
    process = subprocess.run([*command, "--dist", "loadfile", *paths], cwd=ROOT, check=False)  # noqa: S603
    together = Coverage(data_file=RECORDS_FOLDER / "coverage", config_file=False)
    together.combine(
        [str(part) for part in RECORDS_FOLDER.glob("coverage.*")]
        + [str(RECORDS_FOLDER / "coverage")] * (RECORDS_FOLDER / "coverage").is_file()
    )
    together.save()
    files = {
        file.relative_to(ROOT).as_posix(): digest(file.read_text())
        for file in (ROOT / "dingkao").rglob("*.py")
    }
    (RECORDS_FOLDER / "digests.json").write_text(json.dumps(files))
    return process.returncode
