"""Renders the texts of articles: a small part of Markdown, and no HTML."""

import re
from collections.abc import Iterable
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

ENABLED_RULES = (
    "newline",
    "escape",
    "emphasis",
    "link",
    "autolink",
    "list",
    "heading",
    "blockquote",
    "hr",
)
ALLOWED_LINK_SCHEMES = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
EXCERPT_LENGTH, EXCERPT_SCAN_LENGTH = 60, 1000
HEADING_LEVEL_OFFSET = 2
"""The level of the page's own heading above an article: headings of the article begin one level below."""
_markup_pattern = re.compile(
    r"^[#>\s*+-]+|[*_`#>]|\[([^\]]*)\]\([^)]*\)|^\d+\.\s",
    re.MULTILINE,
)


@lru_cache(maxsize=1)
def _build_parser() -> MarkdownIt:
    """Returns the Markdown parser. It knows only ENABLED_RULES; everything else, such as HTML and pictures,
    stays text and is escaped."""
    parser = MarkdownIt("zero", {"html": False, "breaks": True}).enable(list(ENABLED_RULES))
    parser.validateLink = _is_link_allowed  # type: ignore[method-assign]
    return parser


def _is_link_allowed(url: str) -> bool:
    """Whether a link begins with one of ALLOWED_LINK_SCHEMES; a relative one doesn't."""
    return bool(ALLOWED_LINK_SCHEMES.match(url.strip()))


@lru_cache(maxsize=256)
def render(body: str) -> Markup:
    """Returns `body` as HTML: paragraphs, lists, emphasis, and links (web, mail, telephone). Headings begin
    below the page's own heading and skip no level."""
    parser = _build_parser()
    tokens = parser.parse(body)
    _set_heading_levels([token for token in tokens if token.type in ("heading_open", "heading_close")])
    for token in tokens:
        _mark_links(token.children or ())
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - the parser escapes text


def _set_heading_levels(headings: list[Token]) -> None:
    """Change the headings' tags to levels below the page's own heading, without skipping a level."""
    used_tags = sorted({token.tag for token in headings})
    depth = HEADING_LEVEL_OFFSET
    for token in headings:
        if token.type == "heading_open":
            level = HEADING_LEVEL_OFFSET + 1 + used_tags.index(token.tag)
            depth = min(level, depth + 1, 6)
        token.tag = f"h{depth}"


def _mark_links(inline_tokens: Iterable[Token]) -> None:
    """Set rel="noopener noreferrer" on links: a linked site can't see or control the page that linked to
    it."""
    for token in inline_tokens:
        if token.type == "link_open":
            token.attrSet("rel", "noopener noreferrer")


def excerpt(body: str) -> str:
    """Returns the first EXCERPT_LENGTH characters of `body` without markup, in one line, for a list; «…» is
    added if that isn't all. Only the first EXCERPT_SCAN_LENGTH characters are looked at."""
    # cut first: the pattern's time grows with the square of the text's length
    plain = " ".join(_markup_pattern.sub(lambda found: found[1] or "", body[:EXCERPT_SCAN_LENGTH]).split())
    return plain if len(plain) <= EXCERPT_LENGTH else plain[:EXCERPT_LENGTH] + "…"
