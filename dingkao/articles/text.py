"""What a province writes, as a page shows it: a small part of Markdown, and no HTML of anyone's."""

import re
from functools import lru_cache

from markdown_it import MarkdownIt
from markupsafe import Markup

KEPT = ("newline", "escape", "emphasis", "link", "autolink", "list", "heading", "blockquote", "hr")
TARGETS = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
SHORT = 60
ABOVE = 2
"""The level of the heading that a page has above what is written."""
_marks = re.compile(r"^[#>\s*+-]+|[*_`#>]|\[([^\]]*)\]\([^)]*\)|^\d+\.\s", re.MULTILINE)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    """From nothing up: what isn't named in KEPT, HTML and pictures among it, stays text and is escaped."""
    parser = MarkdownIt("zero", {"html": False, "breaks": True}).enable(list(KEPT))
    parser.validateLink = lambda url: bool(TARGETS.match(url.strip()))  # type: ignore[method-assign]
    return parser


@lru_cache(maxsize=256)
def rendered(body: str) -> Markup:
    """`body` as HTML: paragraphs, lists, headings below the page's own that leave no level out, emphasis, links to the web, mail and
    telephones."""
    parser = _parser()
    tokens = parser.parse(body)
    used = sorted({token.tag for token in tokens if token.type == "heading_open"})
    depth = ABOVE
    for token in tokens:
        if token.type == "heading_open":
            depth = min(ABOVE + 1 + used.index(token.tag), depth + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{depth}"
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("rel", "noopener noreferrer")
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - made by the parser, which escapes what was written


def beginning(body: str) -> str:
    """The first words of `body`, without marks, for a list."""
    plain = " ".join(_marks.sub(lambda found: found[1] or "", body).split())
    return plain if len(plain) <= SHORT else plain[:SHORT] + "…"
