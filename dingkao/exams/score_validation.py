"""Validating the rows of a spreadsheet of scores from paper: whose score of which paper each row is, and
whether it may be entered."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from dingkao.assessments.models import ASSESSMENT_STATES, TEST_STATES, Assessment
from dingkao.cycles.models import Cycle
from dingkao.errors import InvalidInput, InvalidState, Refusal
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.score_import_models import ImportedScore
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.score_rows import (
    COLUMNS,
    REQUIRED_COLUMNS,
    InvalidScoreRow,
    LookupTables,
    load_lookup_tables,
    rows_matching,
    validate_row,
)
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.people import identity_numbers
from dingkao.tenants.encryption import normalise_text

OFFLINE = "offline"
NO_NUMBER_COLUMN_MESSAGE = "没有找到准考证号或证件号码列，至少需要其中一列。"
DUPLICATE_ROW = (
    "subject",
    "与本文件前面的行重复",
    "同一医师同一科目只能有一个成绩，请删除重复的行。",
)
REFUSAL_REMEDY = "请核对；不应改变的，请从文件中删去该行。"
ScoreKey = tuple[UUID, UUID]
"""(record id, paper id) of a score."""


def read_rows(content: bytes, report: ImportReport) -> Iterator[ImportRow]:
    """The rows of a spreadsheet of scores, without footers; what can't be read is added to `report`. While
    they are iterated, raises InvalidInput (field "file"; also without a column for a number), TooLarge,
    Unavailable, runner.LimitExceeded."""
    rows = sheet_reader.read_rows(
        content,
        COLUMNS,
        REQUIRED_COLUMNS,
        report,
        date_columns=(),
        code_columns=("ticket", "number"),
    )
    is_first = True
    for row in rows:
        if row.is_footer("name", "score"):
            continue
        if is_first and not {"ticket", "number"} & set(row.cells):
            raise InvalidInput(NO_NUMBER_COLUMN_MESSAGE, "file")
        is_first = False
        yield row


def row_keys(row: ImportRow) -> list[bytes]:
    """The keys by which a repeated row of the same file is recognised: ticket or identity number, and
    subject."""
    number = normalise_text(row.text("ticket")) or identity_numbers.normalise_login_number(row.text("number"))
    return [f"{number}\x1f{normalise_text(row.text('subject'))}".encode()]


def validate_batch(
    rows: Sequence[ImportRow],
    cycle: Cycle,
    report: ImportReport,
    *,
    restrict_to: Sequence[UUID] | None,
    seen: set[bytes],
    existing: UUID | None = None,
) -> dict[ScoreKey, int]:
    """Return (record id, paper id) → tenths of a point, for the scores among `rows` that are new or changed;
    errors and counts are added to `report`. Nothing is locked: whether a score may be entered is asked again
    when it is.

    `restrict_to`: the ids of the assessment organisations whose records may be named (None: any). `seen`: the
    keys of the rows of the same file before these that named a score; those of these rows are added.
    `existing`: the id of the import that holds the scores of earlier rows.
    """
    tables = load_lookup_tables(cycle, rows)
    batch = _Batch(
        tables,
        restrict_to,
        seen,
        _already_imported(existing, tables) if existing else set(),
    )
    valid_scores = filter(None, (batch.validate_into(report, row) for row in rows))
    return {score.key: score.tenths for score in valid_scores}


class _Score(NamedTuple):
    """The score of a row; `sitting`: the record's sitting of that paper, None if it has none."""

    record: Assessment
    paper: Paper
    tenths: int
    sitting: Sitting | None

    @property
    def key(self) -> ScoreKey:
        """(record id, paper id)."""
        return self.record.id, self.paper.id

    @property
    def is_unchanged(self) -> bool:
        """Whether the same score was entered by an earlier import."""
        return (
            self.sitting is not None
            and self.sitting.score_tenths == self.tenths
            and self.sitting.handed_in_by == OFFLINE
        )


class _Batch:
    """Validates the rows of a batch one after another and remembers which scores it has met: `seen` and
    `known_keys` (those imported already, and those of rows validated since)."""

    def __init__(
        self,
        tables: LookupTables,
        restrict_to: Sequence[UUID] | None,
        seen: set[bytes],
        imported: set[ScoreKey],
    ) -> None:
        self.tables, self.restrict_to, self.seen = (
            tables,
            restrict_to,
            seen,
        )
        self.known_keys = imported

    def validate(self, row: ImportRow) -> _Score:
        """Return the score of a row and remember it. Raises InvalidScoreRow, also if the file has that record
        and paper already."""
        record, paper, tenths = validate_row(row, self.tables, self.restrict_to)
        score = _Score(
            record,
            paper,
            tenths,
            self.tables.sittings.get((record.id, paper.id)),
        )
        keys = row_keys(row)
        if score.key in self.known_keys or self.seen.intersection(keys):
            raise InvalidScoreRow(*DUPLICATE_ROW)
        self.known_keys.add(score.key)
        self.seen.update(keys)
        return score

    def validate_into(self, report: ImportReport, row: ImportRow) -> _Score | None:
        """Return the score of a row that is to be confirmed; a valid one is counted in `report`. None if the
        row is refused (the reason is added to `report`) or its score is unchanged."""
        try:
            score = self.validate(row)
            if not score.is_unchanged:
                require_enterable(score.record, score.sitting)
        except InvalidScoreRow as problem:
            report.errors.append(
                _row_problem(
                    row,
                    problem.column,
                    problem.reason,
                    problem.remedy,
                )
            )
            return None
        except Refusal as refusal:
            report.errors.append(_row_problem(row, "score", refusal.message, REFUSAL_REMEDY))
            return None
        _count_score(report, score)
        return None if score.is_unchanged else score


def _count_score(report: ImportReport, score: _Score) -> None:
    """Count a valid score in the report as unchanged, new or changed."""
    if score.is_unchanged:
        report.unchanged += 1
    elif score.sitting is None:
        report.accepted += 1
    else:
        report.changed += 1


def _row_problem(row: ImportRow, column: str, reason: str, remedy: str) -> RowProblem:
    """An error of a row for the report; `column`: a key of COLUMNS."""
    return RowProblem(
        row.number,
        row.column_label(COLUMNS[column][0]),
        reason,
        remedy,
    )


def _already_imported(import_id: UUID, tables: LookupTables) -> set[ScoreKey]:
    """The (record id, paper id) of the scores that an import holds, for the records in `tables`."""
    scores = rows_matching(
        ImportedScore.assessment_id,
        tables.records,
        ImportedScore.import_id == import_id,
        order=ImportedScore.assessment_id,
    )
    return {(score.assessment_id, score.paper_id) for score in scores}


def require_enterable(record: Assessment, sitting: Sitting | None) -> None:
    """Raise InvalidState unless a score from paper may be entered for this record: as a first one while it is
    ready, testing or absent; instead of an earlier import's while it is testing or scored; never beside an
    online sitting. `sitting`: the record's valid sitting of the paper, None if it has none."""
    if sitting is None:
        states: tuple[str, ...] = (*TEST_STATES, "absent")
        act = "导入"
    else:
        states, act = ("testing", "scored"), "更改"
        if sitting.handed_in_by != OFFLINE:
            raise InvalidState("该科目已有线上作答，不能再导入线下成绩")
    if record.state not in states:
        raise InvalidState(f"医师当前状态为“{ASSESSMENT_STATES[record.state]}”，不能{act}线下成绩")
