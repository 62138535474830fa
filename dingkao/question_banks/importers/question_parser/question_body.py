"""Texts, options and explanations of questions: to which part a line belongs, and which lines refuse a
question because they may belong to another one."""

import re
from collections.abc import Callable

from dingkao.question_banks.importers import labels, stray_lines
from dingkao.question_banks.importers.numerals import (
    WEAK,
    fold_characters,
)
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
    DraftSharedContent,
    append_line,
    next_letter,
)
from dingkao.question_banks.importers.question_parser.explanation_lines import (
    append_to_explanation,
    process_lettered_explanation,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    LINE_IS_NO_OPTION,
    OPTION_LETTERS_GAP,
    OPTIONS_AFTER_ANSWER,
    OUT_OF_RANGE,
    POSSIBLE_CASE,
    UNCERTAIN_START,
    UNRECOGNISED_LINE,
    format_problem,
)
from dingkao.question_banks.importers.question_parser.parser_shared_content import (
    add_shared_options,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.question_parser.unmarked_options import (
    as_option,
    find_unmarked_option,
)
from dingkao.question_banks.importers.tokens import Token
from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)

_LIKE_AN_OPTION = re.compile(r"[(\[]?\s*[^\W\d_\u4e00-\u9fff]\s*[.、:)\]]|[A-Z]\s")


def append_text(state: ParserState, index: int, token: Token) -> None:
    """Process a text at position `index` that is neither option, label nor a question's number: it continues
    the part that is being read, if it can belong there. `decide_starts` has decided about its stretch."""
    question = state.question
    if question is None:
        _process_text_outside(state, index, token)
    else:
        continue_part = _TEXT_HANDLERS.get(question.part, _process_after_last_label)
        continue_part(state, index, question, token)


def _continue_answer(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process a line after the label of the answer; it is the key if nothing is beside the label."""
    if _completes_answer(question, token):
        question.cells["answer"] = token.original_text
    else:
        _process_after_last_label(state, index, question, token)


def _completes_answer(question: DraftQuestion, token: Token) -> bool:
    """Whether the line is the key of a question that has only the label of the answer yet."""
    return not question.cells["answer"].strip() and labels.is_answer_key(token.original_text)


def _continue_stem_or_options(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process another line in a stem or after options; it may be an option without a mark."""
    option = find_unmarked_option(state, index, token, question.options)
    if option:
        _add_own_options(state, index, question, as_option(token, option))
    elif question.part == "stem":
        _continue_stem(question, token)
    else:
        _continue_option(state, question, token)


def process_options(state: ParserState, index: int, token: Token) -> None:
    """Process options: of the open question, of several questions, or of one whose number was missed.
    `index`: the token's position, or the number of tokens for a part of a line."""
    question = state.question
    if question is None:
        add_shared_options(state, token)
    else:
        add_options = _OPTION_HANDLERS.get(question.part, _process_late_options)
        add_options(state, index, question, token)


def _process_late_options(
    state: ParserState,
    _index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process options after a question's key or other labels: its own, which refuses it, those of the next
    group, or those of a question whose number was missed."""
    if not question.has_options():
        question.add_problem(OPTIONS_AFTER_ANSWER)
        question.add_options(token)
    elif question.uses_shared_options():
        _begin_next_shared_options(state, question.shared_content, token)
    else:
        state.report_missed_number(question, token, "选项")


def _begin_next_shared_options(state: ParserState, shared: DraftSharedContent, token: Token) -> None:
    """End a B1 question and process the options after it: they are those of the next group. If numbers of its
    own group are missing, all questions that follow are refused."""
    state.close_question()
    if shared.last is not None and shared.last != state.last_number:
        state.lasting_problem = format_problem(OUT_OF_RANGE, shared.words)
    add_shared_options(state, token)


def _add_own_options(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process options after a stem or other options of the question. A second A shows that a number was
    missed: the question is refused, and another one begun with them; what looks like a single option, not A,
    that no later one follows is a line of the stem."""
    if token.options[0][0] == "A" and question.options:
        state.report_missed_number(question, token, "选项")
    elif _is_of_stem(state, index, question, token):
        _continue_stem(question, token)
    else:
        _add_next_options(question, token)


def _is_of_stem(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> bool:
    """Whether what looks like an option is only a line of the stem: not A, and no further option follows
    it."""
    if question.options or token.options[0][0] == "A":
        return False
    return not _option_follows(state, index, token)


def _add_next_options(question: DraftQuestion, token: Token) -> None:
    """Add options; if they don't begin with the next letter, the question is refused."""
    if token.options[0][0] != next_letter(question.options):
        question.add_problem(OPTION_LETTERS_GAP)
    question.add_options(token)


def _option_follows(state: ParserState, index: int, token: Token) -> bool:
    """Whether an option with a later letter follows the first one of the token."""
    if len(token.options) > 1:
        return True
    following = state.next_token(index)
    if following is None or following.kind != "options":
        return False
    return following.options[0][0] > token.options[0][0]


def _continue_stem(question: DraftQuestion, token: Token) -> None:
    """Add a line to the stem; if it looks like an option, the question is refused."""
    if _looks_like_option(token.original_text):
        question.add_problem(OPTION_LETTERS_GAP)
    append_line(question.cells, "stem", token.original_text)


def _continue_option(state: ParserState, question: DraftQuestion, token: Token) -> None:
    """Add a line to the last option; the question is refused unless the line is in the same paragraph, or the
    first text of that option, and begins with neither a certain number nor like an option. One that begins
    with the question's own number refuses the question before, too."""
    if token.number is not None and token.number.value == question.number:
        state.refuse_last_question(UNCERTAIN_START)
    letter = list(question.options)[-1]
    question.add_problem(_option_line_problem(question, letter, token))
    append_line(question.options, letter, token.original_text)


def _option_line_problem(question: DraftQuestion, letter: str, token: Token) -> ParagraphProblem | None:
    """What a line after the option `letter` may be instead of its text; None if it is in the same paragraph,
    or the option has no text yet, and begins like nothing else."""
    text = token.original_text
    if _has_certain_number(token):
        return format_problem(UNRECOGNISED_LINE, text)
    if _looks_like_option(text):
        return OPTION_LETTERS_GAP
    if question.options[letter] and token.line != question.option_line:
        return format_problem(LINE_IS_NO_OPTION, text)
    return None


def _has_certain_number(token: Token) -> bool:
    """Whether a line begins with a number whose form isn't one with which any line may begin."""
    return token.number is not None and token.number.form not in WEAK


def _looks_like_option(text: str) -> bool:
    """Whether a line begins like an option, whatever its letter: with a letter and a mark, or a capital and a
    space."""
    return _LIKE_AN_OPTION.match(fold_characters(text)) is not None


def _process_after_last_label(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process a text after a question's last label: a title ends the question; any other text refuses it and
    what follows, because it may be a case."""
    if _ends_question(state, index, token):
        state.close_question()
        state.warn_unused(token)
    else:
        _refuse_beside_text(state, question, token)


def _refuse_beside_text(state: ParserState, question: DraftQuestion, token: Token) -> None:
    """Refuse the questions before and after a text; if it may be a case, all that follow."""
    text = token.original_text
    problem = format_problem(UNRECOGNISED_LINE, text)
    question.add_problem(problem)
    state.close_question()
    state.follows_stray_text = True
    state.next_problem = problem
    if stray_lines.mentions_patient(text):
        state.lasting_problem = format_problem(POSSIBLE_CASE, text)
    elif stray_lines.is_case_length_sentence(text):
        state.lasting_problem = problem


def _ends_question(state: ParserState, index: int, token: Token) -> bool:
    """Whether a line is a title or an instruction directly before the next question or heading."""
    if token.kind != "text" or not _is_last_of_part(state, index):
        return False
    text = token.original_text
    return stray_lines.resembles_heading(text) or stray_lines.is_exam_instruction(text)


def _is_last_of_part(state: ParserState, index: int) -> bool:
    """Whether the next question begins right after the line; or, if none begins in this stretch, whether the
    stretch ends with a heading or the document."""
    start = state.next_start(index)
    if start is not None:
        return start == index + 1
    return state.stretch_end >= len(state.tokens) or state.tokens[state.stretch_end].kind == "heading"


def _process_text_outside(state: ParserState, index: int, token: Token) -> None:
    """Process a text before the next question: it belongs to the content that the questions below share, or
    to nothing."""
    shared = state.unused_shared_content()
    if shared is None:
        _process_text_between(state, index, token)
    elif shared.may_be_case():
        shared.add_case_text(token.original_text)
    else:
        _continue_shared_options(state, index, shared, token)


def _process_text_between(state: ParserState, index: int, token: Token) -> None:
    """Process a text while no shared content is open: in a part of type B1 it may be an option without a
    mark, which begins a list."""
    option = find_unmarked_option(state, index, token, {}) if state.is_in_b1() else None
    if option:
        add_shared_options(state, as_option(token, option))
    else:
        _report_stray_text(state, token)


def _continue_shared_options(
    state: ParserState,
    index: int,
    shared: DraftSharedContent,
    token: Token,
) -> None:
    """Process a text above questions that share options: an option without a mark, or another line after
    one."""
    option = find_unmarked_option(state, index, token, shared.options)
    if option:
        add_shared_options(state, as_option(token, option))
    elif shared.options:
        _continue_shared_option(shared, token)
    else:
        _report_stray_text(state, token)


def _continue_shared_option(shared: DraftSharedContent, token: Token) -> None:
    """Add a line to the last shared option; unless it is in the same paragraph, the list is refused."""
    if token.line != shared.option_line:
        shared.add_problem(format_problem(LINE_IS_NO_OPTION, token.original_text))
    append_line(shared.options, list(shared.options)[-1], token.original_text)


def _report_stray_text(state: ParserState, token: Token) -> None:
    """Process a text that belongs to nothing, with a warning unless it is a single character. Unless it reads
    as an instruction or a title, the questions below are refused, because they may lack it."""
    if not stray_lines.resembles_heading(token.text):
        state.follows_stray_text = True
    state.lasting_problem = _stray_text_problem(token.original_text) or state.lasting_problem
    if len(token.original_text) > 1:
        state.warn_unused(token)


def _stray_text_problem(text: str) -> ParagraphProblem | None:
    """What a text that belongs to nothing may mean for the questions below; None if it is an instruction or a
    title."""
    if stray_lines.mentions_patient(text):
        return format_problem(POSSIBLE_CASE, text)
    if stray_lines.is_exam_instruction(text) or stray_lines.resembles_title(text):
        return None
    return format_problem(UNRECOGNISED_LINE, text)


_PartHandler = Callable[[ParserState, int, DraftQuestion, Token], None]
_TEXT_HANDLERS: dict[str, _PartHandler] = {
    "stem": _continue_stem_or_options,
    "options": _continue_stem_or_options,
    "answer": _continue_answer,
    "explanation": append_to_explanation,
}
"""Part that is being read → the function that processes a text there; for other parts
`_process_after_last_label`."""
_OPTION_HANDLERS: dict[str, _PartHandler] = {
    "stem": _add_own_options,
    "options": _add_own_options,
    "explanation": process_lettered_explanation,
}
"""Part that is being read → the function that processes options there; for other parts
`_process_late_options`."""
