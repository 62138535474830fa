"""What the parser of questions knows at a position of a document, and the steps that all its parts use."""

from dataclasses import dataclass, field

from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    RowProblem,
)
from dingkao.question_banks.importers import stray_lines
from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
    DraftSharedContent,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    DUPLICATE_PART,
    MAX_TEXT_SHOWN,
    POSSIBLE_CASE,
    format_problem,
)
from dingkao.question_banks.importers.tokens import Token
from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)
from dingkao.question_banks.question_types import shares_options


@dataclass
class ParserState:
    """The document's tokens and what was made of them so far.

    `questions`: those that are complete; `question`: the one being read. `shared`: the open shared content;
    `group_count`: how many groups there were. `carried_values`: columns that labels set until the next
    heading; `document_values`: those set for the whole document, before the first heading (`is_at_head`).
    `needs_case`: the heading demands a case. `last_number`: the last question's number. `forms`: the forms of
    questions' numbers, the usual one first; `unproven_forms`: those that may be of points of an explanation.
    `may_restart`: numbers may begin at 1 again.

    `lasting_problem` refuses every question that begins until a heading ends it, `next_problem` only the next
    one. `starts`: position → whether that is doubtful, for the numbers that begin questions, decided for the
    stretch of tokens from `stretch_begin` to `stretch_end`. `counted_from`: the position of the question at
    which numbers last began anew. `follows_stray_text`: text that belongs to nothing came after the last
    question. `ignored_labels`: labels without a column that were reported.
    """

    tokens: list[Token]
    report: ImportReport
    questions: list[DraftQuestion] = field(default_factory=list)
    question: DraftQuestion | None = None
    shared: DraftSharedContent | None = None
    group_count: int = 0
    carried_values: dict[str, str] = field(default_factory=dict)
    document_values: dict[str, str] = field(default_factory=dict)
    is_at_head: bool = True
    needs_case: bool = False
    last_number: int | None = None
    forms: tuple[str, ...] = ()
    unproven_forms: set[str] = field(default_factory=set)
    may_restart: bool = True
    lasting_problem: ParagraphProblem | None = None
    next_problem: ParagraphProblem | None = None
    starts: dict[int, bool] = field(default_factory=dict)
    stretch_begin: int = 0
    stretch_end: int = 0
    counted_from: int = 0
    follows_stray_text: bool = False
    ignored_labels: set[str] = field(default_factory=set)

    def explained_question(self) -> DraftQuestion | None:
        """The question whose explanation is being read; None if none is."""
        if self.question is not None and self.question.part == "explanation":
            return self.question
        return None

    def is_in_explanation(self) -> bool:
        """Whether an explanation is being read."""
        return self.explained_question() is not None

    def has_shared_options(self) -> bool:
        """Whether the open shared content has options."""
        return self.shared is not None and bool(self.shared.options)

    def counts_back(self, number: int) -> bool:
        """Whether a number is not greater than the last question's."""
        return number <= (self.last_number or 0)

    def is_in_b1(self) -> bool:
        """Whether the questions that follow are of type B1, and thus share options."""
        return shares_options(self.carried_values.get("kind"))

    def unused_shared_content(self) -> DraftSharedContent | None:
        """The open shared content if no question has used it yet; else None."""
        return self.shared if self.shared is not None and not self.shared.members else None

    def next_start(self, index: int) -> int | None:
        """The position of the next number in the stretch, after `index`, that begins a question; None if
        there is none."""
        following = range(index + 1, self.stretch_end)
        return next(
            (position for position in following if position in self.starts),
            None,
        )

    def next_token(self, index: int) -> Token | None:
        """The next token after position `index` that is not a problem; None if there is none."""
        return next(
            (token for token in self.tokens[index + 1 :] if token.kind != "problem"),
            None,
        )

    def close_question(self) -> None:
        """Complete the question being read, if there is one."""
        if self.question is not None:
            self.questions.append(self.question)
            self.question = None

    def doubt_line(
        self,
        question: DraftQuestion,
        problem: ParagraphProblem,
        token: Token,
    ) -> None:
        """Refuse the question and those that follow, because a line may belong to either."""
        self.lasting_problem = format_problem(problem, token.original_text)
        question.add_problem(self.lasting_problem)

    def start_placeholder_question(self, token: Token, problem: ParagraphProblem) -> DraftQuestion:
        """End the open question and begin one whose number was not found, refused for `problem` and named
        after the place where the number is missing. Questions that share content which none has used yet are
        refused, too; numbers may not begin anew."""
        self.close_question()
        self._doubt_shared_content(problem)
        question = DraftQuestion(
            token.line,
            None,
            self._place_name(),
            dict(self.carried_values),
            self.shared,
            needs_case=False,
            problem=problem,
        )
        self.question = question
        self.may_restart = False
        return question

    def _doubt_shared_content(self, problem: ParagraphProblem) -> None:
        """Refuse the questions that share the content that none has used yet: its lines may belong to the
        question whose number was not found."""
        shared = self.unused_shared_content()
        if shared is None:
            return
        shared.add_problem(problem)
        if shared.first is None:
            self.lasting_problem = self.lasting_problem or problem

    def _place_name(self) -> str:
        """A name for the place where a number was not found: after the last question's number, or at the
        beginning."""
        return f"第{self.last_number}题之后" if self.last_number is not None else "开头"

    def report_missed_number(self, question: DraftQuestion, token: Token, part_name: str) -> None:
        """Process a second key, explanation or list of options (`part_name`, for the message) in a question,
        which proves that a number was missed: refuse the question, and begin another one, refused too, with
        the part. If the present part may hold a case, all questions that follow are refused."""
        problem = format_problem(DUPLICATE_PART, part_name)
        question.add_problem(problem)
        later_lines = question.cells.get(question.part, "").split("\n")[1:]
        case_line = next(filter(stray_lines.starts_like_case, later_lines), None)
        if case_line is not None:
            self.lasting_problem = format_problem(POSSIBLE_CASE, case_line)
        self.start_placeholder_question(token, problem).add_part_of(token)

    def refuse_last_question(self, problem: ParagraphProblem) -> None:
        """Refuse the last complete question, if there is one."""
        if self.questions:
            self.questions[-1].add_problem(problem)

    def report_error(self, token: Token, problem: ParagraphProblem) -> None:
        """Report a problem of a line that belongs to no question."""
        self.report.errors.append(RowProblem(token.line, *problem))

    def warn_unused(self, token: Token) -> None:
        """Warn that a line is not used. The first line gets no warning: it is the document's title."""
        if token.line == 1:
            return
        self.report.warnings.append(
            RowProblem(
                token.line,
                "文字",
                f"没有用到“{token.original_text[:MAX_TEXT_SHOWN]}”",
                "不是题目的内容可以不理会；是题目的，请在行首写上题号，如“1.”。",
            )
        )
