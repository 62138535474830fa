"""Content that several questions of a document share: where it begins, which questions use it, where it
ends."""

from dingkao.integrations.spreadsheets.import_rows import RowProblem
from dingkao.question_banks.importers.headings import Heading
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftSharedContent,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    MAX_TEXT_SHOWN,
    OUT_OF_RANGE,
    UNCLEAR,
    WITHOUT_NUMBER,
    format_problem,
)
from dingkao.question_banks.importers.question_parser.parser_state import (
    ParserState,
)
from dingkao.question_banks.importers.tokens import (
    Token,
    line_tokens,
)


def open_shared_content(state: ParserState, heading: Heading, token: Token) -> list[Token]:
    """End the open shared content and begin the one that a heading announces. If it isn't known which
    questions share it, all questions that follow are refused. Returns the tokens after the heading on its
    line, not processed yet."""
    close_shared_content(state)
    state.group_count += 1
    state.lasting_problem = None
    state.shared = DraftSharedContent(
        token.line,
        token.original_text[:MAX_TEXT_SHOWN],
        f"{_format_range(heading)}题组{state.group_count}",
        heading.first_number,
        heading.last_number,
        heading.count,
        heading.is_case,
    )
    if not _is_extent_known(state, heading):
        state.lasting_problem = format_problem(UNCLEAR, token.original_text)
    return line_tokens(token.line, heading.remaining_text.strip())


def _format_range(heading: Heading) -> str:
    """The numbers of the questions that a heading names, "1~2"; "" if it names none."""
    if heading.first_number is None:
        return ""
    return f"{heading.first_number}~{heading.last_number}"


def _is_extent_known(state: ParserState, heading: Heading) -> bool:
    """Whether it is known which questions share the content: the heading names them, or it announces options
    in a part of type B1, in which no question has options of its own, so that they apply up to the next
    heading."""
    return heading.names_questions() or (heading.is_case is False and state.is_in_b1())


def open_implied_options(state: ParserState, line: int, text: str) -> DraftSharedContent:
    """End the open shared content and begin a list of options above questions of type B1 that no heading
    announces; numbers may begin anew. `line`: the number of the first one's line, `text`: that line, for
    messages."""
    close_shared_content(state)
    state.group_count += 1
    shared = DraftSharedContent(
        line,
        text[:MAX_TEXT_SHOWN],
        f"题组{state.group_count}",
        is_case=False,
    )
    state.shared = shared
    state.may_restart = True
    return shared


def add_shared_options(state: ParserState, token: Token) -> None:
    """Process options outside a question: those that B1 questions share, if they are announced or the part is
    of type B1; else those of a question whose number was missed."""
    shared = _list_for_options(state, token)
    if shared is None:
        question = state.start_placeholder_question(token, format_problem(WITHOUT_NUMBER, "选项"))
        question.add_options(token)
    else:
        shared.add_options(token)


def _list_for_options(state: ParserState, token: Token) -> DraftSharedContent | None:
    """The shared content, not used by a question yet, to which options above the questions belong; a new one
    in a part of type B1 without any. None if there is none, or it is a case."""
    shared = state.unused_shared_content()
    if shared is None:
        return open_implied_options(state, token.line, token.original_text) if state.is_in_b1() else None
    if shared.is_case:
        return None
    shared.is_case = False
    return shared


def attach_shared_content(state: ParserState, number: int) -> None:
    """Count the question `number`, which begins, as one that uses the open shared content. But if that
    content names its questions' numbers, has been used, and this number is greater, close the content."""
    shared = state.shared
    if shared is None:
        return
    if shared.members and _is_behind(shared, number):
        close_shared_content(state)
        return
    _check_range(state, shared, number)
    shared.members += 1


def _is_behind(shared: DraftSharedContent, number: int) -> bool:
    """Whether the number is greater than the last one that the shared content names."""
    return shared.last is not None and number > shared.last


def _check_range(state: ParserState, shared: DraftSharedContent, number: int) -> None:
    """Refuse the questions that use shared content if the next one, `number`, doesn't fit the numbers that it
    names."""
    if not shared.members:
        _begin_range(state, shared, number)
    elif shared.last is not None and state.counts_back(number):
        shared.add_problem(format_problem(OUT_OF_RANGE, shared.words))


def _begin_range(state: ParserState, shared: DraftSharedContent, number: int) -> None:
    """Process the first question that uses shared content: if only their count is written, its number gives
    the others; else, if it isn't the first number named, all questions that follow are refused."""
    shared.number_questions(number)
    if shared.first is not None and number != shared.first:
        state.lasting_problem = format_problem(OUT_OF_RANGE, shared.words)


def close_shared_content(state: ParserState) -> None:
    """End the open shared content. An error is reported if no question used it and it has a problem; a
    warning if no question used it, or another number of questions than it names."""
    shared, state.shared = state.shared, None
    if shared is None:
        return
    if not shared.members:
        _report_unused(state, shared)
    elif not shared.has_named_count():
        _warn_other_count(state, shared)


def _report_unused(state: ParserState, shared: DraftSharedContent) -> None:
    """Report the problem of shared content that no question used as an error; if it has none, warn that no
    question used it."""
    if shared.problem:
        state.report.errors.append(RowProblem(shared.line, *shared.problem))
        return
    state.report.warnings.append(
        RowProblem(
            shared.line,
            "共用题干",
            f"“{shared.words}”之下没有题目",
            "请核对下面的题号，看有没有漏掉的题目；不需要的请删去。",
        )
    )


def _warn_other_count(state: ParserState, shared: DraftSharedContent) -> None:
    """Warn that a different number of questions used the shared content than it names."""
    state.report.warnings.append(
        RowProblem(
            shared.line,
            "共用题干",
            f"“{shared.words}”之下有{shared.members}题，与写明的题数不符",
            "请核对题号，看有没有漏掉的题目。",
        )
    )
