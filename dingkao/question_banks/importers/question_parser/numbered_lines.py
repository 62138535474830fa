"""Lines that begin with a number: which begins a question, which is a heading, which continues the line
above."""

import re

from dingkao.question_banks.importers import stray_lines
from dingkao.question_banks.importers.numerals import (
    SECTION_FORMS,
    fold_characters,
)
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    OUT_OF_RANGE,
    POSSIBLE_CASE,
    UNCERTAIN_START,
    UNRECOGNISED_LINE,
    format_problem,
)
from dingkao.question_banks.importers.question_parser.parser_shared_content import (
    attach_shared_content,
    close_shared_content,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.question_parser.question_body import (
    append_text,
)
from dingkao.question_banks.importers.tokens import (
    Token,
)
from dingkao.question_banks.question_types import tag_words
from dingkao.tenants.encryption import normalise_text

_TYPE_TAG = re.compile(
    rf"\s*[(\[]\s*({'|'.join(tag_words())})\s*(?:型题|型|题)?\s*[)\]]\s*",
    re.IGNORECASE,
)


def process_number(state: ParserState, index: int, token: Token) -> None:
    """Process a line that begins with a number: it begins a question, is a heading, or neither.
    `decide_starts` has decided about its stretch."""
    if index in state.starts:
        _start_question(state, token, is_uncertain=state.starts[index])
    elif _is_section(state, index, token):
        _start_section(state, index, token)
    else:
        append_text(state, index, token)


def _is_section(state: ParserState, index: int, token: Token) -> bool:
    """Whether a line with a Chinese or Roman number, which begins no question, is a heading: a question
    begins below it, and no other line of the stretch has a number of that form."""
    if token.number_form not in SECTION_FORMS or state.next_start(index) is None:
        return False
    stretch = state.tokens[state.stretch_begin : state.stretch_end]
    forms = [line_token.number_form for line_token in stretch]
    return forms.count(token.number_form) == 1


def _start_section(state: ParserState, index: int, token: Token) -> None:
    """Process a heading of unknown kind, which ends the open question and shared content: numbers may begin
    anew below it, and unless it is an instruction or a title, it may be a case, so the questions below are
    refused. Below a Chinese number the type of the heading above doesn't hold any more."""
    _doubt_long_explanation(state, index, token)
    state.close_question()
    _doubt_unused_content(state)
    close_shared_content(state)
    if token.number_form == "Han":
        state.carried_values.pop("kind", None)
        state.needs_case = False
    if not _is_harmless(token):
        state.lasting_problem = format_problem(POSSIBLE_CASE, token.original_text)
    state.may_restart = True
    state.warn_unused(token)


def _doubt_long_explanation(state: ParserState, index: int, token: Token) -> None:
    """Refuse the question whose explanation may include the heading: more lines follow before the next
    question."""
    question = state.explained_question()
    lines_between = state.tokens[index + 1 : state.next_start(index)]
    if question is not None and lines_between:
        question.add_problem(format_problem(UNRECOGNISED_LINE, token.original_text))


def _doubt_unused_content(state: ParserState) -> None:
    """Refuse the questions that follow shared content that no question has used."""
    unused = state.unused_shared_content()
    if unused is not None:
        state.lasting_problem = format_problem(OUT_OF_RANGE, unused.words)


def _is_harmless(token: Token) -> bool:
    """Whether a heading is an instruction or a title, and thus not a case."""
    return stray_lines.is_exam_instruction(token.original_text) or stray_lines.resembles_title(token.text)


def _start_question(state: ParserState, token: Token, *, is_uncertain: bool) -> None:
    """End the open question and begin that of a number; refuse it if the start is uncertain, the number was
    there before, or a problem was met above it. If the start is uncertain, all questions that share the open
    content are refused, too. The number and its form are remembered for what follows, and numbers may not
    begin anew until a heading lets them."""
    number = token.number
    assert number is not None  # noqa: S101 - only a number's token starts a question
    was_explained = state.is_in_explanation()
    state.close_question()
    state.is_at_head = False
    is_repeated = _doubt_previous(state, number.value)
    attach_shared_content(state, number.value)
    state.question = _draft_question(state, token, number.value)
    if is_uncertain or is_repeated:
        state.question.add_problem(UNCERTAIN_START)
    _add_problems_above(state, state.question)
    if is_uncertain:
        _doubt_shared_content(state)
        _note_doubtful_form(state, number.form, was_explained=was_explained)
    else:
        state.unproven_forms.discard(number.form)
    _note_form(state, number.form)
    state.last_number = number.value
    state.may_restart = False
    state.follows_stray_text = False


def _add_problems_above(state: ParserState, question: DraftQuestion) -> None:
    """Refuse a question for the problems met above it; the one that is only for the next question is then
    forgotten."""
    question.add_problem(state.next_problem)
    question.add_problem(state.lasting_problem)
    state.next_problem = None


def _doubt_shared_content(state: ParserState) -> None:
    """Refuse all questions that share the open content, because another question may have begun before this
    one."""
    if state.shared is not None:
        state.shared.add_problem(UNCERTAIN_START)


def _note_doubtful_form(state: ParserState, form: str, *, was_explained: bool) -> None:
    """Remember that a form may be that of points of an explanation: it doesn't prove that other numbers of
    that form are questions'."""
    if was_explained and form not in state.forms:
        state.unproven_forms.add(form)


def _draft_question(state: ParserState, token: Token, number: int) -> DraftQuestion:
    """The question that a line begins, with the type in brackets before its stem if there is one."""
    stem, kind = token.text, ""
    if tag := _TYPE_TAG.match(fold_characters(stem)):
        stem, kind = stem[tag.end() :], normalise_text(tag[1])
    values, cells = dict(state.carried_values), {"stem": stem}
    if kind:
        cells["kind"] = kind
    return DraftQuestion(
        token.line,
        number,
        f"第{number}题",
        values,
        state.shared,
        state.needs_case,
        cells,
    )


def _note_form(state: ParserState, form: str) -> None:
    """Remember the form of a question's number; must be called before `may_restart` is reset. A single
    question in another form doesn't change the usual one; a second one in a row does, and the first after
    numbers may begin anew."""
    if state.may_restart or not state.forms or form == state.forms[-1]:
        state.forms = (form,)
    else:
        state.forms = (state.forms[0], form)


def _doubt_previous(state: ParserState, number: int) -> bool:
    """Refuse the questions from the one before that which has the same number already, and one whose stem may
    hold a question whose number was missed. Numbers that begin anew are compared only with those after.
    Returns whether there is one with the same number."""
    if number == 1 or state.may_restart:
        state.counted_from = len(state.questions)
    _doubt_long_stem(state, number)
    same_position = _last_position(state, number)
    if same_position is None:
        return False
    for question in state.questions[max(0, same_position - 1) :]:
        question.add_problem(UNCERTAIN_START)
    return True


def _last_position(state: ParserState, number: int) -> int | None:
    """The position of the last question with this number since numbers last began anew; None if there is
    none."""
    positions = range(state.counted_from, len(state.questions))
    return max(
        (position for position in positions if state.questions[position].number == number),
        default=None,
    )


def _doubt_long_stem(state: ParserState, number: int) -> None:
    """If numbers are missing before this one, refuse the question before the gap if its stem has several
    lines."""
    if not state.questions or not _leaves_gap(state, number):
        return
    if "\n" in state.questions[-1].cells.get("stem", ""):
        state.refuse_last_question(UNCERTAIN_START)


def _leaves_gap(state: ParserState, number: int) -> bool:
    """Whether numbers are missing between the last question's and this one."""
    return state.last_number is not None and number > state.last_number + 1
