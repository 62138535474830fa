"""Deciding which numbers between a position and the next option, label or heading begin a question (see
`question_numbers`)."""

import re
from collections.abc import Iterator, Sequence

from dingkao.question_banks.importers import stray_lines
from dingkao.question_banks.importers.numerals import (
    SECTION_FORMS,
    WEAK,
    ParsedNumber,
    fold_characters,
)
from dingkao.question_banks.importers.question_numbers import (
    StretchContext,
    question_starts,
)
from dingkao.question_banks.importers.question_parser.draft_question import (
    is_true_false_key,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    POSSIBLE_CASE,
    UNCERTAIN_START,
    format_problem,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.tokens import Token
from dingkao.question_banks.question_types import OPTION_LETTERS

SENTENCE_ENDS = frozenset("。？?！!")
"""Characters that end a sentence, and thus a question rather than a heading."""
_QUESTION_TEXT = re.compile(r"[^\u4e00-\u9fff]|[是为有的]$|包括|属于|下列|以下|[哪何几]|^$")
"""What stems have and headings don't."""


def decide_starts(state: ParserState, index: int) -> None:
    """Decide which numbers of the stretch that begins at position `index` begin a question, unless that is
    decided already; the stretch and the result are in `state.stretch_begin`, `state.stretch_end` and
    `state.starts`. If it is doubtful, the open question is refused, and, if the stretch may hold a case, all
    questions that follow."""
    if index < state.stretch_end:
        return
    end = _find_stretch_end(state.tokens, index)
    state.stretch_begin, state.stretch_end = index, end
    numbers = _numbers_of_stretch(state.tokens, index, end)
    if not numbers:
        return
    starts, is_doubtful = _choose_starts(state, numbers, end)
    state.starts |= starts
    if is_doubtful:
        _refuse_beside_doubt(state, index, end)


def _find_stretch_end(tokens: Sequence[Token], index: int) -> int:
    """The position of the next label, heading or certain option (A, or several in a line) from `index` on;
    the number of tokens if there is none."""
    following = range(index, len(tokens))
    return next(
        (position for position in following if _is_structural(tokens[position])),
        len(tokens),
    )


def _is_structural(token: Token) -> bool:
    """Whether a token is a label, a heading, or certain to be options."""
    return token.kind in (
        "label",
        "heading",
    ) or _are_certain_options(token)


def _are_certain_options(token: Token) -> bool:
    """Whether a token is the option A, or several options."""
    if token.kind != "options":
        return False
    return token.options[0][0] == "A" or len(token.options) > 1


def _numbers_of_stretch(tokens: Sequence[Token], index: int, end: int) -> list[tuple[int, ParsedNumber]]:
    """The numbers at the positions from `index` to before `end`, with their positions."""
    return [(position, number) for position in range(index, end) if (number := tokens[position].number)]


def _refuse_beside_doubt(state: ParserState, index: int, end: int) -> None:
    """Refuse the question before a doubtful start; if the stretch may hold a case, also all questions that
    follow."""
    if state.question is not None:
        state.question.add_problem(UNCERTAIN_START)
    lines = (token.original_text for token in state.tokens[index:end])
    case_line = next(filter(stray_lines.starts_like_case, lines), None)
    if case_line is not None:
        state.lasting_problem = format_problem(POSSIBLE_CASE, case_line)


def _choose_starts(
    state: ParserState,
    numbers: Sequence[tuple[int, ParsedNumber]],
    end: int,
) -> tuple[dict[int, bool], bool]:
    """Return position → whether that is doubtful, for the numbers that begin a question; and whether it is
    doubtful where the question before ends. `end`: the position after the stretch."""
    starts, is_doubtful = question_starts(numbers, _stretch_context(state, end))
    if not starts:
        return starts, is_doubtful
    start, has_parts = max(starts), _begins_part(state.tokens, end)
    if _is_heading(state, state.tokens[start], end, has_parts=has_parts):
        return {}, False
    if _is_unclear(state, has_parts=has_parts) or _is_uncertain(state, start, end):
        return dict.fromkeys(starts, True), True
    return starts, is_doubtful


def _stretch_context(state: ParserState, end: int) -> StretchContext:
    """What is known about the stretch that ends at position `end`."""
    return StretchContext(
        expected=_expected_numbers(state),
        forms=state.forms,
        may_restart=state.may_restart or state.question is None,
        is_explained=state.is_in_explanation(),
        awaits_label=_awaits_label(state, end),
        last_number=state.last_number,
        following_value=lambda: _next_value(state, end),
    )


def _begins_part(tokens: Sequence[Token], position: int) -> bool:
    """Whether an option or label (not a heading) is at `position`, at which a stretch ends."""
    return position < len(tokens) and tokens[position].kind != "heading"


def _is_unclear(state: ParserState, *, has_parts: bool) -> bool:
    """Whether it is unclear what a numbered line is: it has neither options nor key, and another question is
    before it."""
    return state.question is not None and not has_parts


def _is_uncertain(state: ParserState, start: int, end: int) -> bool:
    """Whether the numbered line at `start` may be something else than a question, in a form not known from
    other questions: a point of the explanation before it, if more lines are between it and the end of the
    stretch (`end`); or a heading."""
    token = state.tokens[start]
    has_more_lines = _has_lines(state.tokens[start + 1 : end])
    if has_more_lines and _is_weak_point(state, token.number_form):
        return True
    if not _may_be_no_question(state, token.number_form):
        return False
    return has_more_lines or _is_like_no_question(state, token)


def _is_like_no_question(state: ParserState, token: Token) -> bool:
    """Whether the line is the first number after an explanation, or reads like a heading."""
    return _is_first_point(state) or _reads_like_heading(token)


def _is_weak_point(state: ParserState, form: str) -> bool:
    """Whether a number within an explanation has a form with which any line may begin."""
    return state.is_in_explanation() and form in WEAK


def _may_be_no_question(state: ParserState, form: str) -> bool:
    """Whether a form is not known from questions' numbers, and a heading or a point of an explanation may
    have it."""
    if _is_known_form(state, form):
        return False
    return state.is_in_explanation() or form in SECTION_FORMS


def _reads_like_heading(token: Token) -> bool:
    """Whether the line has a heading's form of number and a text like a heading's."""
    return token.number_form in SECTION_FORMS and not _is_question_text(token.text)


def _is_first_point(state: ParserState) -> bool:
    """Whether an explanation is before the line, and no form of questions' numbers is known yet."""
    return state.is_in_explanation() and not state.forms


def _has_lines(tokens: Sequence[Token]) -> bool:
    """Whether any of the tokens is more than a problem."""
    return any(token.kind != "problem" for token in tokens)


def _is_known_form(state: ParserState, form: str) -> bool:
    """Whether a form is certainly one of questions' numbers."""
    return form in state.forms and form not in state.unproven_forms


def _is_question_text(text: str) -> bool:
    """Whether a text has what stems have and headings don't."""
    return _QUESTION_TEXT.search(text) is not None


def _is_heading(state: ParserState, token: Token, end: int, *, has_parts: bool) -> bool:
    """Whether a numbered line, the last that may begin a question before position `end`, is a heading. Its
    form is one of headings; and no part of a question follows and it doesn't end as a sentence, or there is
    one (`has_parts`), a key that belongs to the question below."""
    if not _may_be_of_heading(state, token.number_form):
        return False
    if not has_parts:
        return token.text.rstrip()[-1:] not in SENTENCE_ENDS
    return _is_above_key(state, token, state.tokens[end])


def _may_be_of_heading(state: ParserState, form: str) -> bool:
    """Whether headings have this form and no question has had it yet."""
    return form in SECTION_FORMS and form not in state.forms


def _is_above_key(state: ParserState, token: Token, following: Token) -> bool:
    """Whether `following`, the token after the line `token`, is a key written above its question, and not the
    key of that line."""
    if not _may_stand_above(state, following):
        return False
    return _is_key_of_letters(following) or not _is_question_text(token.text)


def _may_stand_above(state: ParserState, token: Token) -> bool:
    """Whether a token may be a key written above its question: there has been no question yet, and there are
    no shared options."""
    return token.column == "answer" and not state.forms and not state.has_shared_options()


def _is_key_of_letters(token: Token) -> bool:
    """Whether a token is a key with letters."""
    key = fold_characters(token.text)
    return (
        token.column == "answer"
        and re.search(f"[{OPTION_LETTERS}]", key) is not None
        and not is_true_false_key(key)
    )


def _awaits_label(state: ParserState, position: int) -> bool:
    """Whether the label at a position is one that the open question still lacks."""
    if state.question is None or position >= len(state.tokens):
        return False
    return state.question.awaits_label(state.tokens[position].column)


def _expected_numbers(state: ParserState) -> frozenset[int]:
    """The values that the next question's number may have."""
    announced_number = _announced_number(state)
    if announced_number is not None:
        return frozenset({announced_number})
    if state.last_number is None:
        return frozenset({1})
    return frozenset(_iter_following_numbers(state, state.last_number))


def _announced_number(state: ParserState) -> int | None:
    """The first number that the heading right above names; None if it names none."""
    shared = state.unused_shared_content()
    return shared.first if shared is not None and state.question is None else None


def _iter_following_numbers(state: ParserState, last_number: int) -> Iterator[int]:
    """The values that may follow the last question's number, including 1 if numbers may begin anew."""
    yield last_number + 1
    if state.question is not None and state.question.number is None:
        # the open question's number was missed
        yield last_number + 2
    if state.may_restart:
        yield 1


def _next_value(state: ParserState, start: int) -> int | None:
    """The next number from position `start` on in a form that questions' numbers have; None if there is
    none."""
    for token in state.tokens[start:]:
        if token.number and token.number_form in state.forms:
            return token.number.value
    return None
