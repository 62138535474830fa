r"""The markup in which questions are written, and how pages show it: plain text with a few signs.

H<sub>2</sub>O and 10<sup>9</sup> as in HTML, $\frac{a}{b}$ a formula in LaTeX, ![说明](图:0123…) a picture of
the province's, and lines between bars a table, its first line the heading. Everything else is text, whatever
it looks like. Most questions have no markup: they are sent as text and shown as text.
"""

import html
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain, filterfalse, groupby
from operator import itemgetter

import nh3
from latex2mathml.converter import convert
from markupsafe import Markup

PICTURE_PATTERN = re.compile(r"!\[([^\]\n]{0,200})\]\(图:([0-9a-f]{32})\)")
PictureUrl = Callable[[str], str]
"""Returns the address of the picture with a name, without a scheme: another one is taken out of the page."""
FormulaRenderer = Callable[[str], str]
"""Returns the HTML of a formula given in LaTeX."""

SCRIPT_PATTERN = re.compile(r"<(su[bp])>([^<>\n]{1,200})</\1>", re.IGNORECASE)
FORMULA_PATTERN = re.compile(r"\$(?!\s)([^$\n]{1,500}?)(?<!\s)\$(?![0-9])")
_TABLE_ROW_PATTERN = re.compile(r"[ \t]*\|(.+)\|[ \t]*")
_TABLE_RULE_PATTERN = re.compile(r"[ \t]*\|[ \t:|-]+\|[ \t]*")
_MARKUP_PATTERN = re.compile(
    "|".join(
        (
            PICTURE_PATTERN.pattern.replace("(", "(?:").replace(r"\(?:", r"\("),
            r"<su[bp]>[^<>\n]+</su[bp]>",
            r"\$[^$\n]+\$",
            r"^[ \t]*\|.+\|[ \t]*$",
        )
    ),
    re.MULTILINE | re.IGNORECASE,
)
_PICTURE_OR_FORMULA_PATTERN = re.compile(f"{PICTURE_PATTERN.pattern}|{FORMULA_PATTERN.pattern}")
_MATH_TAGS = (
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover "
    "mtable mtr mtd "
    "mfenced menclose mpadded mphantom mstyle"
)
_TEXT_TAGS = "sub sup br img table thead tbody tr th td code"
_TAGS = frozenset(f"{_TEXT_TAGS} {_MATH_TAGS}".split())
_ATTRIBUTES = {
    "img": {"src", "alt"},
    "th": {"scope"},
    "math": {"xmlns", "display"},
    "mo": {"stretchy", "fence", "form", "separator"},
    "mi": {"mathvariant"},
    "mfrac": {"linethickness"},
    "mspace": {"width"},
    "mtable": {"columnalign"},
    "mtd": {"columnalign"},
}


@lru_cache(maxsize=8192)
def has_markup(text: str) -> bool:
    """Whether `text` may hold more than plain text. Cached, because a whole province loads the same questions
    at once."""
    return _MARKUP_PATTERN.search(text) is not None


def for_script(text: str, picture_url: PictureUrl) -> str | dict[str, str]:
    """`text` for a page's script: itself if it is empty or plain text, else {"html": …}, safe to be inserted
    into a page."""
    return {"html": str(to_html(text, picture_url))} if text and has_markup(text) else text


def to_html(
    text: str,
    picture_url: PictureUrl,
    render_formula: FormulaRenderer | None = None,
) -> Markup:
    """`text` as HTML, its formulas as MathML or as `render_formula` returns them, its pictures at the
    addresses that `picture_url` returns (relative ones: others are removed). Everything that is no markup is
    escaped; the result is also cleaned by nh3 with a list of allowed tags and attributes."""
    if not has_markup(text):
        return Markup(html.escape(text).replace("\n", "<br>"))  # noqa: S704 - escaped just here
    blocks = _render_blocks(text, picture_url, render_formula or formula_to_mathml)
    cleaned = nh3.clean(
        blocks,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=set(),
        link_rel=None,
    )
    return Markup(cleaned)  # noqa: S704 - cleaned just here


def to_plain_text(text: str) -> str:
    """`text` without the markup of pictures (which become [图] or [图:description]), formulas (which become
    LaTeX without dollar signs) and scripts, for lists and other places that show plain text only. Tables stay
    lines between bars."""
    text = PICTURE_PATTERN.sub(_picture_label, text)
    return FORMULA_PATTERN.sub(r"\1", SCRIPT_PATTERN.sub(r"\2", text))


def _picture_label(picture_match: re.Match[str]) -> str:
    """The text that stands for a picture in plain text: [图:description]."""
    description = picture_match[1]
    suffix = ":" + description if description else ""
    return f"[图{suffix}]"


def picture_names(*texts: str | None) -> list[str]:
    """The names of the pictures in `texts`, in order, with repetitions; None and "" are skipped."""
    return [match[2] for text in texts if text for match in PICTURE_PATTERN.finditer(text)]


def formulas_in(text: str) -> list[str]:
    """The formulas in `text`, each as LaTeX: those that are drawn, so none within a picture's markup, but
    with a picture's markup that stands between their dollar signs."""
    return [match[3] for match in _PICTURE_OR_FORMULA_PATTERN.finditer(text) if match[3] is not None]


def escape_table_cell(text: str) -> str:
    r"""A cell's text with its bars, which would end the cell, replaced: in formulas by LaTeX's \vert,
    elsewhere by a slash."""
    without_formula_bars = re.sub(
        r"\$[^$\n]+\$",
        lambda match: match[0].replace("|", "\\vert "),
        text,
    )
    return without_formula_bars.replace("|", "/")


def _render_blocks(text: str, picture_url: PictureUrl, render_formula: FormulaRenderer) -> str:
    """The text as HTML: lines separated by <br>, and lines between bars as tables."""
    blocks = []
    for is_table, lines in _iter_blocks(text):
        render = _render_table if is_table else _render_lines
        blocks.append(render(lines, picture_url, render_formula))
    return "".join(blocks)


def _iter_blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The lines of each table and of the texts around it: (whether it is a table, the lines)."""
    runs = (list(lines) for _, lines in groupby(text.split("\n"), _is_table_row))
    for is_table, blocks in groupby(((_is_table(lines), lines) for lines in runs), itemgetter(0)):
        yield (
            is_table,
            list(chain.from_iterable(lines for _, lines in blocks)),
        )


def _is_table(lines: list[str]) -> bool:
    """Whether lines (all of them table rows, or none) are a table; rules alone are not."""
    return _is_table_row(lines[0]) and not all(map(_is_table_rule, lines))


def _render_lines(
    lines: list[str],
    picture_url: PictureUrl,
    render_formula: FormulaRenderer,
) -> str:
    """Lines of text as HTML, separated by <br>."""
    return "<br>".join(_render_inline(line, picture_url, render_formula) for line in lines)


def _is_table_row(line: str) -> bool:
    """Whether a line is a row of a table."""
    return _TABLE_ROW_PATTERN.fullmatch(line) is not None


def _is_table_rule(line: str) -> bool:
    """Whether a line is the rule below a table's heading (|---|---|)."""
    return _TABLE_RULE_PATTERN.fullmatch(line) is not None


def _render_table(
    table_rows: list[str],
    picture_url: PictureUrl,
    render_formula: FormulaRenderer,
) -> str:
    """A table as HTML. Its first row is the heading if the second one is a rule (|---|---|); rows of dashes
    further down are ordinary rows."""
    top, below = table_rows[:2], table_rows[2:]
    has_heading = [_is_table_rule(table_row) for table_row in top] == [False, True]
    rows = [
        [
            _render_inline(cell.strip(), picture_url, render_formula)
            for cell in table_row.strip()[1:-1].split("|")
        ]
        for table_row in chain(filterfalse(_is_table_rule, top), below)
    ]
    heading = ""
    if has_heading:
        heading_row = _render_row(rows.pop(0), "th", ' scope="col"')
        heading = f"<thead>{heading_row}</thead>"
    body = "".join(_render_row(cells, "td") for cells in rows)
    return f"<table>{heading}<tbody>{body}</tbody></table>"


def _render_row(cells: list[str], tag: str, attributes: str = "") -> str:
    """A row of a table as HTML, each cell in an element `tag`."""
    rendered_cells = "".join(f"<{tag}{attributes}>{cell}</{tag}>" for cell in cells)
    return f"<tr>{rendered_cells}</tr>"


def _render_inline(line: str, picture_url: PictureUrl, render_formula: FormulaRenderer) -> str:
    """A line as HTML: pictures and formulas, in which no other markup is read, and the text between them."""
    pieces, start = [], 0
    for match in _PICTURE_OR_FORMULA_PATTERN.finditer(line):
        description, name, latex = match.groups()
        pieces.append(_render_text(line[start : match.start()]))
        start = match.end()
        if name:
            alt_text = html.escape(description or "图")
            pieces.append(f'<img src="{html.escape(picture_url(name))}" alt="{alt_text}">')
        else:
            pieces.append(render_formula(latex))
    return "".join(pieces) + _render_text(line[start:])


def _render_text(text: str) -> str:
    """A text as HTML, with sub- and superscripts as tags and everything else escaped."""
    pieces, start = [], 0
    for match in SCRIPT_PATTERN.finditer(text):
        tag = match[1].lower()
        pieces.append(f"{html.escape(text[start : match.start()])}<{tag}>{html.escape(match[2])}</{tag}>")
        start = match.end()
    return "".join(pieces) + html.escape(text[start:])


@lru_cache(maxsize=2048)
def formula_to_mathml(latex: str) -> str:
    """A formula as MathML; LaTeX that can't be parsed is shown as it was typed, in a <code> tag."""
    try:
        return str(convert(latex))
    except Exception:
        return f"<code>{html.escape(latex)}</code>"
