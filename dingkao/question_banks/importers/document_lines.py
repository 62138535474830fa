"""Lines of a document of questions: what a reader of documents returns and the tokenizer processes."""

from dataclasses import dataclass, field

from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)


@dataclass
class DocumentLine:
    """A paragraph or a table as text in our markup, with the problems of what can't be imported in it.
    `cells`: those of a table, row by row; None for a paragraph. `is_title`: the paragraph has a heading
    style."""

    text: str
    problems: list[ParagraphProblem] = field(default_factory=list)
    cells: list[list[str]] | None = None
    is_title: bool = False

    def add_problem(self, problem: ParagraphProblem) -> str:
        """Add a problem unless it is there already. Returns "", the text of content that can't be
        imported."""
        if problem not in self.problems:
            self.problems.append(problem)
        return ""

    def is_empty(self) -> bool:
        """Whether the line has neither text nor problems."""
        return not self.text.strip() and not self.problems
