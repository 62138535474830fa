"""Lines in a question's explanation, and those that may belong to another question."""

from dingkao.integrations.spreadsheets.import_rows import RowProblem
from dingkao.question_banks.importers import stray_lines
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
    append_line,
    has_unmarked_options,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    MAX_TEXT_SHOWN,
    POSSIBLE_CASE,
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

EXPLANATION_ENDS = ("。", "！", "；", ".")


def append_to_explanation(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process another line in an explanation, at position `index`; it may be an option without a mark."""
    option = find_unmarked_option(state, index, token, {})
    if option:
        process_lettered_explanation(state, index, question, as_option(token, option))
    else:
        _continue_explanation(state, index, question, token)


def _continue_explanation(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Add another line to the explanation; if it may belong to the next question, there are refusals or a
    warning."""
    explanation = question.cells["explanation"]
    if explanation:
        _check_explanation_line(state, index, question, token)
    if has_unmarked_options(token.original_text):
        question.has_lettered_explanation = True
    question.has_only_label = question.has_only_label and not explanation.strip()
    append_line(question.cells, "explanation", token.original_text)


def _check_explanation_line(
    state: ParserState,
    index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """If a line in an explanation, with another question after it in the stretch, may belong to that one,
    refuse the question and those that follow (a case, a heading) or warn (a title)."""
    start = state.next_start(index)
    if start is None:
        return
    if stray_lines.could_be_case(token.original_text):
        state.doubt_line(question, POSSIBLE_CASE, token)
    elif start == index + 1:
        _warn_of_title(state, question, token.original_text)
    elif stray_lines.resembles_heading(token.original_text):
        state.doubt_line(question, UNRECOGNISED_LINE, token)


def _warn_of_title(state: ParserState, question: DraftQuestion, text: str) -> None:
    """Warn if the last line of an explanation, after a complete sentence, looks like a title."""
    is_sentence_before = question.cells["explanation"].rstrip().endswith(EXPLANATION_ENDS)
    if is_sentence_before and stray_lines.resembles_title(text):
        state.report.warnings.append(
            RowProblem(
                question.line,
                f"解析（{question.name}）",
                f"解析的最后一行“{text[:MAX_TEXT_SHOWN]}”像是标题",
                "已并入解析，请核对。",
            )
        )


def process_lettered_explanation(
    state: ParserState,
    _index: int,
    question: DraftQuestion,
    token: Token,
) -> None:
    """Process lettered lines (a token with options) in an explanation. Of a question that uses shared options
    they may be those of the next group. Else they discuss the options if they directly follow the label of
    the explanation or are a single letter after A; if not, a question's number was missed."""
    if question.uses_shared_options():
        _begin_doubtful_options(state, question, token)
    elif question.has_only_label or _is_later_option(token):
        question.has_lettered_explanation = True
        append_line(question.cells, "explanation", token.original_text)
    else:
        state.report_missed_number(question, token, "选项")


def _begin_doubtful_options(state: ParserState, question: DraftQuestion, token: Token) -> None:
    """Lettered lines in the explanation of a B1 question may be the options of the next group: refuse the
    question and those that follow, end it, and begin a list of shared options with them."""
    problem = format_problem(UNRECOGNISED_LINE, token.original_text)
    question.add_problem(problem)
    state.close_question()
    state.lasting_problem = problem
    add_shared_options(state, token)


def _is_later_option(token: Token) -> bool:
    """Whether a token is a single option, and not A."""
    return token.options[0][0] != "A" and len(token.options) == 1
