"""Recognises a question from its page."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

DisplayedText = str | dict[str, str]
"""A text as the page's script gets it: str, or {"html": …} (`question_banks/markup.for_script`)."""


def question_key(
    case: DisplayedText,
    stem: DisplayedText,
    options: Iterable[Sequence[Any]],
) -> str:
    """Returns a key of a question, made of its texts. It does not depend on the order of the options or the
    addresses of pictures. `options`: (letter, text)."""
    option_texts = sorted(f"{letter}{_displayed_text(text)}" for letter, text in options)
    return "\x1e".join(
        [
            _displayed_text(case or ""),
            _displayed_text(stem),
            *option_texts,
        ]
    )


def _displayed_text(text: DisplayedText) -> str:
    """Returns the text; of one with HTML the HTML, with pictures by their names only."""
    return text if isinstance(text, str) else re.sub(r'src="[^"]*/', 'src="', text["html"])
