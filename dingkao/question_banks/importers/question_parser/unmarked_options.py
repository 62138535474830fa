"""Options without a mark after their letter («A 甲»); such a line counts as one only if that letter is
expected next."""

from dataclasses import replace

from dingkao.question_banks.importers import labels
from dingkao.question_banks.importers.question_parser.draft_question import (
    next_letter,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.tokens import Token


def as_option(token: Token, option: tuple[str, str]) -> Token:
    """A token of text as a token of the option that it is."""
    return replace(token, kind="options", options=(option,))


def find_unmarked_option(
    state: ParserState,
    index: int,
    token: Token,
    options: dict[str, str],
) -> tuple[str, str] | None:
    """The option (letter, text) of a line, at position `index`, without a mark after its letter, if that
    letter is expected next after `options` (letter → text, in order); A only if B follows. Else None."""
    option = _unmarked_option(token)
    if option is None or not _is_awaited(state, index, option[0], options):
        return None
    return option


def _is_awaited(
    state: ParserState,
    index: int,
    letter: str,
    options: dict[str, str],
) -> bool:
    """Whether the letter of an option without a mark is expected: the next one after `options`, or A if B
    follows."""
    if letter == "A":
        return _first_letter(state.next_token(index)) == "B"
    return letter == next_letter(options)


def _unmarked_option(token: Token) -> tuple[str, str] | None:
    """Letter and text of the option without a mark that a token may be; None if it isn't one."""
    return labels.unmarked_option(token.original_text) if token.kind == "text" else None


def _first_letter(token: Token | None) -> str:
    """The letter of the first option of a token, with or without a mark; "" if there is none."""
    if token is None:
        return ""
    first_option = token.options[0] if token.options else _unmarked_option(token)
    return first_option[0] if first_option else ""
