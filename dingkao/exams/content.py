r"""What questions are written in: plain text with a few marks, and how pages show it.

H<sub>2</sub>O and 10<sup>9</sup> as in HTML, $\frac{a}{b}$ a formula in LaTeX, ![说明](图:0123…) a picture of the province's, and lines
between bars a table, its first line the heading. Everything else is text, whatever it looks like. Most questions have no mark: they
leave as text and are shown as text.
"""

import html
import re
from collections.abc import Callable
from functools import lru_cache
from html.parser import HTMLParser

import nh3
from latex2mathml.converter import convert
from markupsafe import Markup

PICTURE = re.compile(r"!\[([^\]\n]{0,200})\]\(图:([0-9a-f]{32})\)")
Address = Callable[[str], str]
"""The address of a picture by the name that words call it by."""
Drawing = Callable[[str], str]
"""A formula's LaTeX as HTML."""

_RAISED = re.compile(r"<(su[bp])>([^<>\n]{1,200})</\1>", re.IGNORECASE)
_FORMULA = re.compile(r"\$(?! )([^$\n]{1,500}?)(?<! )\$(?![0-9])")
_ROW = re.compile(r"[ \t]*\|(.+)\|[ \t]*")
_RULE = re.compile(r"[ \t]*\|[ \t:|-]+\|[ \t]*")
_MARKED = re.compile("|".join((PICTURE.pattern.replace("(", "(?:").replace(r"\(?:", r"\("), r"<su[bp]>[^<>\n]+</su[bp]>", r"\$[^$\n]+\$", r"^[ \t]*\|.+\|[ \t]*$")), re.MULTILINE | re.IGNORECASE)
_MATH = frozenset({
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover",
    "munderover", "mtable", "mtr", "mtd", "mfenced", "menclose", "mpadded", "mphantom", "mstyle",
})  # fmt: skip
_TAGS = frozenset({"sub", "sup", "br", "img", "table", "thead", "tbody", "tr", "th", "td", "code"}) | _MATH
_ATTRIBUTES = {
    "img": {"src", "alt"}, "th": {"scope"}, "math": {"xmlns", "display"}, "mo": {"stretchy", "fence", "form", "separator"},
    "mi": {"mathvariant"}, "mfrac": {"linethickness"}, "mspace": {"width"}, "mtable": {"columnalign"}, "mtd": {"columnalign"},
}  # fmt: skip


@lru_cache(maxsize=8192)
def is_marked(text: str) -> bool:
    """Whether `text` may hold more than text. Remembered: a whole province looks at the same questions at once."""
    return _MARKED.search(text) is not None


def shown(text: str, address: Address) -> str | dict[str, str]:
    """`text` as a page's script gets it: itself where it is nothing but text, else {"html": …}, safe to be put into a page."""
    return {"html": str(rendered(text, address))} if text and is_marked(text) else text


def rendered(text: str, address: Address, drawing: Drawing | None = None) -> Markup:
    """`text` as HTML, its formulas as MathML or as `drawing` makes them; what is no mark is escaped, and what came of the marks is sieved once
    more by nh3."""
    if not is_marked(text):
        return Markup(html.escape(text).replace("\n", "<br>"))  # noqa: S704 - escaped just here
    made = _blocks(text, address, drawing or formula)
    return Markup(nh3.clean(made, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=set(), link_rel=None))  # noqa: S704 - sieved


def plain(text: str) -> str:
    """`text` without its marks, for lists and where nothing but text can be shown."""
    text = PICTURE.sub(lambda found: f"[图{':' + found[1] if found[1] else ''}]", text)
    return _FORMULA.sub(r"\1", _RAISED.sub(r"\2", text))


def pictures_of(*texts: str | None) -> list[str]:
    """The names of the pictures that `texts` show."""
    return [found[2] for text in texts if text for found in PICTURE.finditer(text)]


def _blocks(text: str, address: Address, drawing: Drawing) -> str:
    """Lines, those between bars as tables."""
    made: list[str] = []
    lines: list[str] = []
    rows: list[str] = []

    def close() -> None:
        if rows:
            made.append(_table(rows, address, drawing))
            rows.clear()
        if lines:
            made.append("<br>".join(_inline(line, address, drawing) for line in lines))
            lines.clear()

    for line in text.split("\n"):
        is_row = _ROW.fullmatch(line) is not None
        if is_row != bool(rows):
            close()
        (rows if is_row else lines).append(line)
    close()
    return "".join(made)


def _table(rows: list[str], address: Address, drawing: Drawing) -> str:
    ruled = len(rows) > 1 and _RULE.fullmatch(rows[1]) is not None
    cells = [[_inline(cell.strip(), address, drawing) for cell in row.strip()[1:-1].split("|")] for row in rows if not _RULE.fullmatch(row)]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in cells[0]) if ruled else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells[ruled:])
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if ruled else ''}<tbody>{body}</tbody></table>"


def _inline(line: str, address: Address, drawing: Drawing) -> str:
    """A line: first what must not be looked into (pictures, formulas), then sub- and superscripts in what is left."""
    made, start = [], 0
    for found in re.finditer(f"{PICTURE.pattern}|{_FORMULA.pattern}", line):
        made.append(_words(line[start : found.start()]))
        start = found.end()
        made.append(f'<img src="{html.escape(address(found[2]))}" alt="{html.escape(found[1] or "图")}">' if found[2] else drawing(found[3]))
    return "".join(made) + _words(line[start:])


def _words(text: str) -> str:
    made, start = [], 0
    for found in _RAISED.finditer(text):
        tag = found[1].lower()
        made.append(f"{html.escape(text[start : found.start()])}<{tag}>{html.escape(found[2])}</{tag}>")
        start = found.end()
    return "".join(made) + html.escape(text[start:])


@lru_cache(maxsize=2048)
def formula(latex: str) -> str:
    """A formula as MathML; what can't be read as one is shown as it was typed."""
    try:
        return str(convert(latex))
    except Exception:  # noqa: BLE001 - the library raises whatever its stack does, and each means the same here
        return f"<code>{html.escape(latex)}</code>"


# --- to and from HTML, as other programs write it


def to_html(text: str) -> str:
    r"""`text` as HTML for another program: marks as tags, formulas between \( and \), as most show them."""
    made, start = [], 0
    for found in _FORMULA.finditer(text):
        made += [_kept(text[start : found.start()]), "\\(", html.escape(found[1], quote=False).replace("\\)", "&#92;)"), "\\)"]
        start = found.end()
    return "".join([*made, _kept(text[start:])]).replace("\n", "<br>")


def _kept(text: str) -> str:
    made = html.escape(text, quote=False).replace("\\(", "&#92;(")
    made = re.sub(r"&lt;(su[bp])&gt;((?:(?!&lt;|&gt;|\n).){1,2000}?)&lt;/\1&gt;", r"<\1>\2</\1>", made)
    # blanks would run together, and at the ends of lines be lost
    return re.sub(r"  +|(?m:^ | $)|\t", lambda found: "".join(f"&#{ord(one)};" for one in found[0]), made)


class _Reader(HTMLParser):
    """HTML as our text; `lost` names what could not be kept."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.made: list[str] = []
        self.lost: list[str] = []
        self.skipping = 0
        self.cells: list[str] | None = None
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.skipping += 1
        elif tag in ("sub", "sup"):
            self.made.append(f"<{tag}>")
        elif tag == "br" or tag in ("p", "div", "li", "table") and self.made and not self.made[-1].endswith("\n"):
            self.made.append("\n")
        elif tag == "tr":
            self.made.append("|")
        elif tag == "img":
            given = dict(attrs)
            named = re.search(r"([0-9a-f]{32})$", given.get("src") or "")
            self.made.append(f"![{given.get('alt') or ''}](图:{named[1]})" if named else "")
            if not named:
                self.lost.append("图片")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.skipping = max(0, self.skipping - 1)
        elif tag in ("sub", "sup"):
            self.made.append(f"</{tag}>")
        elif tag in ("td", "th"):
            self.made.append("|")
        elif tag in ("p", "div", "li", "tr"):
            self.made.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            # a blank of HTML's source says nothing; one that was meant is written as a character's number
            self.made.append(re.sub(r"[ \t\r\n]+", " ", data).replace("\\(", "\x0e").replace("\\)", "\x0f"))

    def handle_entityref(self, name: str) -> None:
        self.made.append(html.unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.made.append(html.unescape(f"&#{name};"))


def from_html(text: str) -> tuple[str, list[str]]:
    """What another program wrote as HTML, in our marks, and what could not be kept (图片)."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    made = re.sub("\x0e([^\x0f\n]*)\x0f", r"$\1$", "".join(reader.made))
    return made.replace("\x0e", "\\(").replace("\x0f", "\\)").strip("\n"), reader.lost
