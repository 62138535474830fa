"""Our markup as the HTML that other programs read, as in GIFT files."""

import html
import re

from dingkao.question_banks.markup import (
    FORMULA_PATTERN,
)


def to_exchange_html(text: str) -> str:
    r"""`text` as HTML for another program: sub- and superscripts as tags, line breaks as <br>, formulas
    between \( and \), which most programs understand. Tables and pictures stay as our markup writes them."""
    pieces, start = [], 0
    for match in FORMULA_PATTERN.finditer(text):
        latex = html.escape(match[1], quote=False).replace("\\)", "&#92;)")
        pieces += [
            _exchange_text(text[start : match.start()]),
            "\\(",
            _preserve_whitespace(latex),
            "\\)",
        ]
        start = match.end()
    return "".join([*pieces, _exchange_text(text[start:])]).replace("\n", "<br>")


def _exchange_text(text: str) -> str:
    """A text without formulas as HTML, with its sub- and superscripts as tags."""
    escaped = html.escape(text, quote=False).replace("\\(", "&#92;(")
    with_scripts = re.sub(
        r"&lt;(su[bp])&gt;((?:(?!&lt;|&gt;|\n).){1,2000}?)&lt;/\1&gt;",
        r"<\1>\2</\1>",
        escaped,
    )
    return _preserve_whitespace(with_scripts)


def _preserve_whitespace(text: str) -> str:
    """The HTML with tabs, runs of spaces, and spaces at the beginnings and ends of lines, as character
    references, so that programs keep them."""
    return re.sub(r"  +|(?m:^ | $)|\t", _as_references, text)


def _as_references(match: re.Match[str]) -> str:
    """The characters of a match as character references."""
    return "".join(f"&#{ord(character)};" for character in match[0])
