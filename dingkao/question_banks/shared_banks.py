"""Banks that the platform has for all provinces (全国共享题库), in tables of the platform, read through its
engine.

Operators update them (`shared_bank_updates`); provinces compare them with their copies
(`shared_bank_comparison`) and copy them into their own banks (`shared_bank_copies`), in which a second person
approves what was copied, as in any other bank.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select

from dingkao.database.base import db
from dingkao.errors import NotFound, TooLarge
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks import bank_exports
from dingkao.question_banks.models import SharedBank, SharedQuestion
from dingkao.question_banks.question_types import (
    OPTION_LETTERS,
    is_true_false,
)

BATCH_SIZE = 500
"""How many questions one chunk processes."""
MAX_INLINE_QUESTIONS = 500
"""A bank with more questions is compared and copied by jobs, not within a request."""
MAX_QUESTIONS_IN_REQUEST = 1_500
"""How many questions an operator's page imports or exports within a request. The platform has no jobs (jobs
belong to a province), so more than these need the terminal."""
EXPORT_BY_TERMINAL_MESSAGE = (
    "题目较多，网页上不能导出。请由运维人员在服务器上执行"
    "“dingkao questions export-shared 题库名称 文件.xlsx”导出。"
)
banks_table: Any = SharedBank.__table__
questions_table: Any = SharedQuestion.__table__


@dataclass(frozen=True)
class SharedBankInfo:
    """A shared bank: its edition, when that was made, and how many of its questions aren't withdrawn."""

    id: UUID
    name: str
    edition: int
    changed_at: Any
    question_count: int

    @property
    def is_large(self) -> bool:
        """Whether the bank is too large to be compared or copied within a request."""
        return self.question_count > MAX_INLINE_QUESTIONS


def list_shared_banks() -> list[SharedBankInfo]:
    """The shared banks by name, each with how many of its questions aren't withdrawn."""
    count = func.count(questions_table.c.id).label("size")
    is_in_bank = and_(
        questions_table.c.bank_id == banks_table.c.id,
        ~questions_table.c.withdrawn,
    )
    query = (
        select(banks_table, count)
        .outerjoin(questions_table, is_in_bank)
        .group_by(banks_table.c.id)
        .order_by(banks_table.c.name)
    )
    with db.engines["platform"].connect() as connection:
        banks = connection.execute(query).all()
    return [
        SharedBankInfo(
            bank.id,
            bank.name,
            bank.edition,
            bank.changed_at,
            bank.size,
        )
        for bank in banks
    ]


def get_shared_bank(bank_id: UUID) -> SharedBankInfo:
    """A shared bank. Raises NotFound."""
    for bank in list_shared_banks():
        if bank.id == bank_id:
            return bank
    raise NotFound


def questions_after(bank_id: UUID, after: int, *, withdrawn: bool) -> tuple[Sequence[Any], int | None]:
    """The next questions of a shared bank after position `after` (0 before the first), as rows in the order
    of positions, at most BATCH_SIZE, either withdrawn or not; and the position to continue after, None after
    the last; after a full batch there may be none left either."""
    query = select(questions_table).where(
        questions_table.c.bank_id == bank_id,
        questions_table.c.position > after,
        questions_table.c.withdrawn == withdrawn,
    )
    with db.engines["platform"].connect() as connection:
        questions = connection.execute(query.order_by(questions_table.c.position).limit(BATCH_SIZE)).all()
    return questions, questions[-1].position if len(questions) == BATCH_SIZE else None


def import_rows_of(
    shared_questions: Sequence[Any],
) -> Iterator[ImportRow]:
    """Questions of a shared bank (rows of SharedQuestion) as rows of a spreadsheet, numbered by their
    positions."""
    for question in shared_questions:
        yield ImportRow(question.position, _row_cells(question.cells))


def _row_cells(stored_cells: Mapping[str, Any]) -> dict[str, Any]:
    """The stored cells of a question as those of a spreadsheet's row: the answer as text, each option in a
    cell of its own, none for a statement."""
    cells = {name: text for name, text in stored_cells.items() if name != "options"}
    cells["answer"] = bank_exports.answer_cell(stored_cells)
    return cells if is_true_false(cells["kind"]) else cells | _option_cells(stored_cells["options"])


def _option_cells(
    stored_options: Iterable[Sequence[str]],
) -> dict[str, str]:
    """The cells of options, option_A and so on."""
    options = bank_exports.options_by_letter([(letter, text) for letter, text in stored_options])
    return {f"option_{letter}": text for letter, text in options.items()}


def shared_bank_xlsx(bank: SharedBankInfo, limit: int | None = None) -> bytes:
    """A shared bank as xlsx, without withdrawn questions. Raises TooLarge if it has more than `limit`
    questions (None: no limit), InvalidState if more than a sheet has rows."""
    if limit is not None and bank.question_count > limit:
        raise TooLarge(EXPORT_BY_TERMINAL_MESSAGE)
    is_large = bank.question_count > MAX_QUESTIONS_IN_REQUEST
    return bank_exports.questions_xlsx(_iter_questions(bank.id), OPTION_LETTERS if is_large else "")


def _iter_questions(bank_id: UUID) -> Iterator[dict[str, Any]]:
    """The cells of all questions that aren't withdrawn."""
    position: int | None = 0
    while position is not None:
        questions, position = questions_after(bank_id, position, withdrawn=False)
        yield from (question.cells for question in questions)
