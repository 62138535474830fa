"""Files that are small and ask for much, by kind: each generator makes another one for each seed. And what it
takes to refuse one."""

import io
import random
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docx
from docx.oxml.ns import qn

from dingkao.errors import Refusal
from dingkao.integrations.images import images
from dingkao.integrations.pdf import formulas
from dingkao.integrations.sandbox import runner
from dingkao.integrations.sandbox.runner import MB, Limits
from dingkao.integrations.spreadsheets import import_rows, sheet_reader
from dingkao.question_banks.importers import question_files
from tests.malicious_pictures import (
    chunked_png,
    circled_pdf,
    deep_pdf,
    headed_picture,
    huge_png,
    multiplied,
    object_streams,
    pixels,
    scanned_jpeg,
    texted_png,
    tiled,
    unfolding,
)
from tests.malicious_workbooks import (
    commas,
    entity_expansion,
    entity_expansion_document,
    entity_expansion_workbook,
    expanding_workbook,
    false_size_entry,
    far_cell,
    many_members,
    many_texts,
    merged,
    nested,
    old_book,
    overlapping,
    repeated,
    shared_text,
    spaced_document,
)

COLUMNS, NEEDED = (
    {"name": ("姓名",), "number": ("证件号码",), "stem": ("题干",), "option_A": ("选项A",)},
    ("name", "number"),
)
Make = Callable[[random.Random], bytes]


# --- Word, GIFT, formulas


def word(body: str, before: str = "") -> bytes:
    into, buffer = io.BytesIO(), io.BytesIO()
    docx.Document().save(into)
    names = f'xmlns:w="{qn("w:p")[1:].split("}")[0]}"'
    with zipfile.ZipFile(into) as zip_file, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in zip_file.infolist():
            plain = zip_file.read(entry)
            archive.writestr(
                entry.filename,
                f"{before}<w:document {names}><w:body>{body}</w:body></w:document>"
                if entry.filename == "word/document.xml"
                else plain,
            )
    return buffer.getvalue()


def word_tables(chance: random.Random) -> bytes:
    depth = chance.randint(200, 200_000)
    return word("<w:tbl><w:tr><w:tc><w:p/>" * depth + "</w:tc></w:tr></w:tbl>" * depth)


def word_paragraphs(chance: random.Random) -> bytes:
    paragraph = chance.choice(
        [
            "<w:p/>",
            "<w:p><w:r><w:t>1. 题干</w:t></w:r></w:p>",
            "<w:p><w:r/></w:p>",
            "<w:p><w:r><w:t>(1~9题共用题干)</w:t></w:r></w:p>",
        ]
    )
    return word(paragraph * (chance.randint(30, 63) * MB // len(paragraph)))


def word_laughs(chance: random.Random) -> bytes:
    return word("<w:p><w:r><w:t>1. &l5;</w:t></w:r></w:p>", entity_expansion(chance, "w:document"))


def word_marks(chance: random.Random) -> bytes:
    text = chance.choice(
        [
            "(" * 50_000,
            "1." * 100_000,
            "一、" * 50_000,
            "【" * 100_000,
            "(1~" * 50_000,
            "A." * 50_000,
            "$" * 100_000,
            " " * 500_000 + "x",
        ]
    )
    return word(f"<w:p><w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>" * chance.randint(1, 20))


def gift(chance: random.Random) -> bytes:
    piece = chance.choice(
        [
            "{",
            "}",
            "~%",
            "=",
            "\\",
            "::",
            "{~%50%",
            "<b>",
            "&#",
            "[html]",
            "$$",
            "->",
            "%50%",
            "{=a ~b}\n\n",
            "// dingkao: {",
            "{T}",
        ]
    )
    return ("::a:: 题干 {" + piece * (chance.randint(1, 4) * MB // len(piece))).encode()


def formula(chance: random.Random) -> bytes:
    opened, closed = chance.choice(
        [
            ("\\frac{", "}{b}"),
            ("\\frac{a}{", "}"),
            ("\\sqrt{", "}"),
            ("a^{", "}"),
            ("a_{", "}"),
            ("\\left(", "\\right)"),
            ("\\overline{", "}"),
            ("{", "}"),
            ("\\hat{", "}"),
            ("\\begin{matrix}", "\\end{matrix}"),
            ("\\sum_{i}^{", "}"),
            ("\\mathrm{", "}"),
            ("\\frac{\\sqrt{", "}}{c}"),
            ("\\underbrace{", "}"),
        ]
    )
    depth = chance.randint(8, 60)
    return (opened * depth + "x" + closed * depth).encode()


def _rows(content: bytes) -> int:
    return sum(1 for _ in sheet_reader.read_rows(content, COLUMNS, NEEDED))


def _questions(content: bytes) -> int:
    sheet = {"columns": COLUMNS, "required_columns": ("stem",)}
    return sum(1 for _ in question_files.read_question_file(content, sheet, import_rows.ImportReport()))


KINDS: dict[str, tuple[Callable[[bytes], object], Make]] = {
    "xlsx: a far cell in any folder": (_rows, far_cell), "xlsx: merged": (_rows, merged), "xlsx: one text in many cells": (_rows, shared_text),
    "xlsx: many texts": (_rows, many_texts), "xlsx: nested": (_rows, nested), "xlsx: billion laughs": (_rows, entity_expansion_workbook), "xlsx: swollen": (_rows, expanding_workbook),
    "zip: many members": (_rows, many_members), "zip: overlapping members": (_rows, overlapping), "zip: sizes that lie": (_rows, false_size_entry),
    "ods: repeated": (_rows, repeated), "ods: billion laughs": (_rows, entity_expansion_document), "ods: blanks": (_rows, spaced_document), "xls: circles": (_rows, old_book),
    "csv: commas, lines, quotes": (_rows, commas), "docx: tables in tables": (_questions, word_tables), "docx: paragraphs": (_questions, word_paragraphs),
    "docx: billion laughs": (_questions, word_laughs), "docx: marks": (_questions, word_marks), "docx: many members": (_questions, many_members), "gift": (_questions, gift),
    "formula": (lambda content: formulas.render_formula(content.decode()), formula), "png: too large": (images.process_document, huge_png), "png: swollen texts": (images.process_portrait, texted_png),
    "png: many chunks": (images.process_document, chunked_png), "jpeg: many scans": (images.process_document, scanned_jpeg), "other pictures by their heads": (images.process_portrait, headed_picture),
    "pdf: object streams": (images.process_document, object_streams), "pdf: unfolding": (images.process_document, unfolding), "pdf: forms within forms": (images.process_document, multiplied),
    "pdf: tiles": (images.process_document, tiled), "pdf: pixels": (images.process_document, pixels), "pdf: nested": (images.process_document, deep_pdf), "pdf: circles": (images.process_document, circled_pdf),
}  # fmt: skip


@dataclass(frozen=True)
class Consumption:
    """What it took: seconds, those of the processor in the child, the most that this held and how much more
    this process holds, in MB; and how it ended."""

    seconds: float
    processor: float
    child: float
    own: float
    end: str


def process_file(kind: str, content: bytes, most: Limits) -> Consumption:
    """Take in a file of a kind within bounds, as a request or a job does."""
    spent: list[tuple[float, float]] = []
    taker = KINDS[kind][0]
    Path("/proc/self/clear_refs").write_text("5")  # begin counting the most that is held anew
    began, memory_before = time.monotonic(), peak_memory()
    with override_limits(most, spent):
        try:
            taker(content)
            end = "taken"
        except Refusal as refusal:
            end = type(refusal).__name__
    processor, child = (max(consumption[place] for consumption in [(0.0, 0.0), *spent]) for place in (0, 1))
    return Consumption(time.monotonic() - began, processor, child, peak_memory() - memory_before, end)


def peak_memory() -> float:
    """The most that this process has held, in MB."""
    return next(
        int(line.split()[1]) / 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )


class override_limits:  # noqa: N801 - a context
    """Bounds for every child meanwhile; what each took is told: seconds of the processor and MB."""

    def __init__(self, most: Limits, spent: list[tuple[float, float]]) -> None:
        self.bounds, self.spent = most, spent

    def __enter__(self) -> None:
        self.before = (
            runner.current_limits,
            runner._SandboxCall.result,
            runner._SandboxCall.iter_items,
            runner.log_limit_reached,
        )
        spent = self.spent

        def told(taken: runner.ResourceUsage | None) -> None:
            spent.append((taken.processor, taken.memory / MB) if taken else (0.0, 0.0))

        def note(child: runner._SandboxCall) -> None:
            told(child.exit_status())

        def result(child):
            try:
                return self.before[1](child)
            finally:
                note(child)

        def items(child):
            try:
                yield from self.before[2](child)
            finally:
                note(child)

        runner.current_limits, runner._SandboxCall.result, runner._SandboxCall.iter_items = (
            lambda: self.bounds,
            result,
            items,
        )
        runner.log_limit_reached = lambda _name, taken, _why: told(taken)

    def __exit__(self, *_: object) -> None:
        (
            runner.current_limits,
            runner._SandboxCall.result,
            runner._SandboxCall.iter_items,
            runner.log_limit_reached,
        ) = self.before
