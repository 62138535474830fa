"""The parser that turns a document's tokens into questions. Only what is understood becomes part of a
question; a line that may belong to either of two questions refuses both, because a missed number would give
one question the next one's key."""

from collections.abc import Callable, Iterable

from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.question_banks.importers import (
    headings,
    labels,
    stray_lines,
)
from dingkao.question_banks.importers.headings import Heading
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
    append_line,
    to_row,
)
from dingkao.question_banks.importers.question_parser.neighbour_checks import (
    check_neighbours,
)
from dingkao.question_banks.importers.question_parser.number_decision import (
    decide_starts,
)
from dingkao.question_banks.importers.question_parser.numbered_lines import (
    process_number,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    IN_TABLE,
    KEY_ABOVE,
    POSSIBLE_CASE,
    UNCLEAR,
    UNRECOGNISED_LINE,
    WITHOUT_NUMBER,
    format_problem,
)
from dingkao.question_banks.importers.question_parser.parser_shared_content import (
    close_shared_content,
    open_implied_options,
    open_shared_content,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.question_parser.question_body import (
    append_text,
    process_options,
)
from dingkao.question_banks.importers.tokens import (
    Token,
    line_tokens,
)
from dingkao.question_banks.importers.word_problems import (
    UNREAD_PROBLEMS,
    ParagraphProblem,
)
from dingkao.tenants.encryption import normalise_text

CARRIED_COLUMNS = (
    "kind",
    "subject",
    "category",
    "topic",
    "difficulty",
    "purpose",
)
"""Columns whose labels, above a question, apply to all that follow."""


class QuestionParser:
    """Turns a document's tokens into rows; problems of lines that belong to no question are added to
    `report`."""

    def __init__(self, tokens: Iterable[Token], report: ImportReport) -> None:
        self.state = ParserState(list(tokens), report)

    def rows(self) -> list[ImportRow]:
        """The document's questions as rows, in their order; to be called once. If one can't be imported, its
        problem (kind, reason, remedy) is in the cell "refused"."""
        state = self.state
        for index, token in enumerate(state.tokens):
            _process_line_token(state, index, token)
        state.close_question()
        close_shared_content(state)
        check_neighbours(state.questions)
        return [to_row(question) for question in state.questions]


def _process_line_token(state: ParserState, index: int, token: Token) -> None:
    """Process a token of the document; before texts and numbers it is decided which numbers begin
    questions."""
    if token.kind in ("text", "table", "number"):
        decide_starts(state, index)
    _process_token(state, index, token)


def _process_token(state: ParserState, index: int, token: Token) -> None:
    """Process a token. `index`: its position, or the number of tokens for a part of a line."""
    _HANDLERS[token.kind](state, index, token)


def _process_part_tokens(state: ParserState, tokens: Iterable[Token]) -> None:
    """Process the parts of a line after a heading or label."""
    for token in tokens:
        _process_token(state, len(state.tokens), token)


def _process_problem(state: ParserState, _index: int, token: Token) -> None:
    """Process content that can't be imported: it refuses the question or shared content that it is in, or is
    reported if it is in none."""
    problem = token.problem
    assert problem is not None  # noqa: S101 - tokenize gives each one
    open_part = state.question or state.shared
    if open_part is not None:
        open_part.add_problem(problem)
    else:
        _report_problem_outside(state, token.line, problem)


def _report_problem_outside(state: ParserState, line: int, problem: ParagraphProblem) -> None:
    """Report content that can't be imported and is in no question: as an error if whole questions may be
    hidden in it, else as a warning."""
    kind, reason, remedy = problem
    reason = f"{reason}，不在任何题目之下"
    if problem in UNREAD_PROBLEMS:
        state.report.errors.append(RowProblem(line, kind, reason, remedy))
    else:
        remedy = f"不是题目的内容可以不理会；否则{remedy}"
        state.report.warnings.append(RowProblem(line, kind, reason, remedy))


def _process_heading(state: ParserState, _index: int, token: Token) -> None:
    """Process a line between questions: unless it belongs to what is open already, it ends the open question,
    and numbers may begin anew."""
    heading = token.heading
    assert heading is not None  # noqa: S101 - tokenize gives each one
    if _continues_open_part(state, heading, token):
        return
    _doubt_explanation_before(state, heading, token)
    state.close_question()
    state.is_at_head = False
    state.may_restart = True
    state.follows_stray_text = False
    if heading.kind == headings.SHARED_CONTENT:
        _process_part_tokens(state, open_shared_content(state, heading, token))
    else:
        close_shared_content(state)
        _HEADING_HANDLERS[heading.kind](state, heading, token)


def _begin_type(state: ParserState, heading: Heading, _token: Token) -> None:
    """Process a heading that names the type of the questions below it: of what labels above have set, only
    what holds for the whole document goes on, and a problem that refused all questions that follow ends."""
    state.carried_values = state.document_values | {"kind": normalise_text(heading.type)}
    state.needs_case = heading.needs_case
    state.lasting_problem = None


def _begin_chapter(state: ParserState, _heading: Heading, token: Token) -> None:
    """Process a chapter's heading, which is not used, with a warning; if it mentions a patient, it may be the
    beginning of a case, and the questions below are refused."""
    if stray_lines.mentions_patient(token.original_text):
        state.lasting_problem = format_problem(POSSIBLE_CASE, token.original_text)
    state.warn_unused(token)


def _refuse_below_unclear(state: ParserState, _heading: Heading, token: Token) -> None:
    """Process a heading that isn't understood: it is reported as an error and refuses the questions below
    it, up to the next heading of a type or of shared content."""
    state.lasting_problem = format_problem(UNCLEAR, token.original_text)
    state.report_error(token, state.lasting_problem)


def _doubt_explanation_before(state: ParserState, heading: Heading, token: Token) -> None:
    """Refuse the question whose explanation may include the heading, if that is not certain to be one."""
    question = state.explained_question()
    if question is None:
        return
    if not heading.is_certain or heading.kind == headings.UNCLEAR:
        question.add_problem(format_problem(UNRECOGNISED_LINE, token.original_text))


def _continues_open_part(state: ParserState, heading: Heading, token: Token) -> bool:
    """Whether a line such as 「病例:」 belongs to what is open already, a question's stem or a case without
    text; if so, it is added there."""
    if heading.kind != headings.SHARED_CONTENT or heading.names_questions():
        return False
    if state.question is None:
        return _begins_open_case(state, heading)
    return not heading.is_certain and _continues_open_stem(state.question, token)


def _continues_open_stem(question: DraftQuestion, token: Token) -> bool:
    """Whether the line belongs to the question's stem, as it does while that is being read and the question
    isn't refused; if so, it is added there."""
    if question.part != "stem" or question.problem:
        return False
    append_line(question.cells, "stem", token.original_text)
    return True


def _begins_open_case(state: ParserState, heading: Heading) -> bool:
    """Whether the heading only names the case that a previous heading has announced with its questions'
    numbers; if so, its text begins that case."""
    shared = state.shared
    if shared is None or not shared.awaits_case_text() or not heading.is_case:
        return False
    shared.text = heading.remaining_text.strip()
    return True


def _process_table(state: ParserState, index: int, token: Token) -> None:
    """Process a table, which counts as text. It refuses the question that it is in if it may hold questions
    or follows options; one outside of questions that may hold some is reported."""
    if token.is_doubtful:
        _refuse_table(state, token)
    elif state.question is not None and state.question.part == "options":
        state.question.add_problem(IN_TABLE)
    append_text(state, index, token)


def _refuse_table(state: ParserState, token: Token) -> None:
    """Refuse the question that a table is in; if it is in none, report the table."""
    if state.question is None:
        state.report_error(token, IN_TABLE)
    else:
        state.question.add_problem(IN_TABLE)


def _process_label(state: ParserState, _index: int, token: Token) -> None:
    """Process a label. One without a column is ignored, 「选项:」 begins options; any other begins a part of
    the open question, or, if none is open, applies to the questions that follow."""
    if token.column == "unused":
        _ignore_label(state, token)
    elif token.column == "options":
        _process_options_label(state, token)
    elif state.question is None:
        _carry_label(state, token)
    else:
        _begin_question_part(state, state.question, token)


def _begin_question_part(state: ParserState, question: DraftQuestion, token: Token) -> None:
    """Begin the part of a question that the label means; a second label for the same part shows that a number
    was missed: the question is refused, and one without number begun, refused too, unless the label may be
    within an explanation."""
    if token.column not in question.cells:
        question.set_part(token.column, token.text)
        question.has_only_label = True
    elif _is_within_explanation(question, token):
        append_line(question.cells, "explanation", token.original_text)
    else:
        state.report_missed_number(question, token, f"“{token.name}”")


def _is_within_explanation(question: DraftQuestion, token: Token) -> bool:
    """Whether the label is within an explanation and is one of those that may be."""
    return question.part == token.column == "explanation" and token.name in labels.EXPLANATION_LABELS


def _ignore_label(state: ParserState, token: Token) -> None:
    """Process a label for which we have no column: a warning for each name, once; the text after it is not
    used, nor, if it is below a stem, what follows."""
    if token.name not in state.ignored_labels:
        state.ignored_labels.add(token.name)
        state.warn_unused(token)
    if state.question is not None and state.question.part != "stem":
        state.question.part = "unused"


def _process_options_label(state: ParserState, token: Token) -> None:
    """Process 「选项:」: above a question's options, beside the first of them, or before the shared options
    of B1; then the text after it on the line."""
    if state.question is None or not state.question.awaits_options():
        _begin_options_of_many(state, token)
    _process_part_tokens(state, line_tokens(token.line, token.text))


def _begin_options_of_many(state: ParserState, token: Token) -> None:
    """Close the open question and begin a list of options that the questions below share. If the part is not
    of type B1, it is unclear whose options these are, and the questions below are refused."""
    state.close_question()
    if state.unused_shared_content() is None:
        open_implied_options(state, token.line, token.original_text)
    if not state.is_in_b1():
        state.lasting_problem = format_problem(UNCLEAR, token.original_text)


def _carry_label(state: ParserState, token: Token) -> None:
    """Process a label outside a question: it applies to all questions up to the next heading; but a key or
    explanation belongs to a question whose number was missed."""
    if token.column in CARRIED_COLUMNS:
        _carry_value(state, token)
    else:
        _begin_question_without_number(state, token)


def _carry_value(state: ParserState, token: Token) -> None:
    """Let a label apply to all questions up to the next heading; above the first heading, to the whole
    document."""
    state.carried_values[token.column] = token.text
    if state.is_at_head:
        state.document_values[token.column] = token.text


def _begin_question_without_number(state: ParserState, token: Token) -> None:
    """Begin a question whose number was not found, for a key or explanation outside a question. It may belong
    to the question before, and all keys below may be shifted, so these are refused."""
    problem = format_problem(WITHOUT_NUMBER, f"“{token.name}”")
    if state.questions and token.column not in state.questions[-1].cells:
        state.refuse_last_question(problem)
    if not state.follows_stray_text:
        state.lasting_problem = format_problem(KEY_ABOVE, f"“{token.name}”")
    state.start_placeholder_question(token, problem).set_part(token.column, token.text)


_HANDLERS: dict[str, Callable[[ParserState, int, Token], None]] = {
    "problem": _process_problem,
    "heading": _process_heading,
    "number": process_number,
    "text": append_text,
    "table": _process_table,
    "options": process_options,
    "label": _process_label,
}
"""Kind of token → the function that processes it."""
_HEADING_HANDLERS: dict[str, Callable[[ParserState, Heading, Token], None]] = {
    headings.QUESTION_TYPE: _begin_type,
    headings.SECTION: _begin_chapter,
    headings.UNCLEAR: _refuse_below_unclear,
}
"""Kind of heading → the function that processes it; SHARED_CONTENT is processed by itself."""
