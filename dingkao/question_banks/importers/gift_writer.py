"""Writing questions as GIFT that Moodle imports and from which `gift` reads the same questions again."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dingkao.question_banks.exchange_html import to_exchange_html
from dingkao.question_banks.importers.gift import (
    COMMENT_COLUMNS,
    COMMENT_PREFIX,
    TITLE_LENGTH,
)
from dingkao.question_banks.markup import has_markup
from dingkao.question_banks.question_types import (
    MULTIPLE_TYPES,
    OPTION_LETTERS,
    TRUE_FALSE,
    is_true_false,
)


def write_gift(questions: Iterable[Mapping[str, Any]], bank_name: str) -> str:
    """Questions as the text of a GIFT file, numbered in their titles from 1. `questions`: cells as
    `bank_exports.question_cells` returns them."""
    lines = [f"// {' '.join(bank_name.split())}\n"]
    current_category = ""
    for number, cells in enumerate(questions, 1):
        category = _category_path(bank_name, cells.get("topic") or "")
        if category != current_category:
            lines.append(f"$CATEGORY: {category}\n")
            current_category = category
        lines.append(_write_question(number, cells))
    return "\n".join(lines)


def _category_path(*names: str) -> str:
    """The path of a category from its parts; slashes within a part are doubled."""
    cleaned = [" ".join(name.split()) for name in names]
    return "/".join(name.replace("/", "//") for name in cleaned if name)


def _write_question(number: int, cells: Mapping[str, Any]) -> str:
    """One question as GIFT: our comment, title (which begins with `number`), text and answers."""
    text = _text_with_case(cells)
    explanation = cells.get("explanation") or ""
    is_html = any(map(has_markup, _all_texts(cells)))
    title = _escape(" ".join(cells["stem"].split())[:TITLE_LENGTH])
    lines = [
        f"{COMMENT_PREFIX}{json.dumps(_comment(cells), ensure_ascii=False)}",
        f"::{number} {title}::{_write_text(text, is_html)}{{{_write_answers(cells, is_html)}",
    ]
    if explanation:
        lines.append(f"\t####{_write_text(explanation, is_html)}")
    return "\n".join([*lines, "}\n"])


def _text_with_case(cells: Mapping[str, Any]) -> str:
    """The stem of a question, after its case if it has one."""
    case = cells.get("case_stem")
    return f"{case}\n\n{cells['stem']}" if case else cells["stem"]


def _all_texts(cells: Mapping[str, Any]) -> Iterator[str]:
    """All texts of a question that may have markup."""
    yield _text_with_case(cells)
    yield cells.get("explanation") or ""
    for _, option_text in cells["options"]:
        yield option_text


def _comment(cells: Mapping[str, Any]) -> dict[str, str]:
    """The content of our comment on a question: the columns that GIFT can't express, "" for what it lacks,
    and its options' letters if some are skipped."""
    letters = "".join(letter for letter, _ in cells["options"])
    comment = {name: cells.get(name) or "" for name in COMMENT_COLUMNS}
    if letters != OPTION_LETTERS[: len(letters)]:
        comment["letters"] = letters
    return comment


def _write_answers(cells: Mapping[str, Any], is_html: bool) -> str:
    """What follows the opening brace: TRUE or FALSE on the same line, or each choice on a line of its own.
    `is_html`: texts are written as HTML."""
    if not is_true_false(cells["kind"]):
        return "".join(f"\n{line}" for line in _answer_lines(cells, is_html))
    return "TRUE" if cells["answer"] == TRUE_FALSE.own_options[0][0] else "FALSE"


def _answer_lines(cells: Mapping[str, Any], is_html: bool) -> Iterator[str]:
    """The lines of the choices, each with its sign and its text; `is_html`: the texts are written as HTML."""
    has_several = cells["kind"] in MULTIPLE_TYPES
    for letter, text in cells["options"]:
        sign = _answer_sign(letter, cells["answer"], has_several=has_several)
        yield f"\t{sign}{_write_text(text, is_html)}"


def _answer_sign(letter: str, answer: str, *, has_several: bool) -> str:
    """What a choice begins with: = or ~, or its weight if several may be right."""
    is_right = letter in answer
    if not has_several:
        return "=" if is_right else "~"
    return f"~%{round(100 / len(answer), 5):g}%" if is_right else "~%-100%"


def _write_text(text: str, is_html: bool) -> str:
    """A text, escaped, with its format ([html] if `is_html`, else [plain]) before it."""
    return f"[html]{_escape(to_exchange_html(text))}" if is_html else f"[plain]{_escape(text)}"


def _escape(text: str) -> str:
    """A text with the characters that mean something in GIFT escaped."""
    return re.sub(r"[~=#{}:\\]", lambda match: f"\\{match[0]}", text).replace("\n", "\\n")
