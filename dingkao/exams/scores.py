"""Scores of an exam on paper (线下成绩): a sheet is taken in by one person and confirmed by another (domain.md §12), then each score stands
as a sitting without layout, handed in by «offline», and goes the way of any other."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import STATES, Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import number_index
from dingkao.errors import Forbidden, Invalid, NotAllowed, Refusal
from dingkao.exams.models import SUBJECTS, AdmissionTicket, ImportedScore, Paper, ScoreImport, Sitting
from dingkao.exams.papers import papers_for, wanted_subjects
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.proposing import held, take_back
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.people import identity
from dingkao.people.accounts import actor_of
from dingkao.tenants import settings
from dingkao.tenants.secrets import normalised

COLUMNS: dict[str, tuple[str, ...]] = {
    "ticket": ("准考证号", "准考证号码", "准考证"), "number": ("证件号码", "身份证号", "身份证号码", "身份证件号码"), "name": ("姓名", "考生姓名"),
    "subject": ("科目", "考试科目", "试卷"), "score": ("成绩", "分数", "得分", "总分"),
}  # fmt: skip
NEEDED = ("name", "subject", "score")
SUBJECT_WORDS = {"公共知识": "common", "公共科目": "common", "人文医学": "common", "业务水平": "professional", "专业知识": "professional", "专业科目": "professional"}
MOST_ROWS, AT_ONCE = 5000, 200
OFFLINE, ENTER = "offline", "enter_scores"
CLOSED = "本省不接受线下成绩导入。如需导入,请联系省级管理员在“设置”中开放。"
_UNIT = re.compile("分$")


class _Unsound(Exception):  # noqa: N818 - a row that is refused, with the column it is refused for
    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.remedy = column, reason, remedy


@dataclass(frozen=True)
class _Known:
    """Whom the rows of a sheet may mean: records of the cycle by ticket and by number, their doctors, papers, sittings."""

    by_ticket: Mapping[str, UUID]
    by_number: Mapping[bytes, UUID]
    records: Mapping[UUID, Assessment]
    doctors: Mapping[UUID, Doctor]
    papers: Mapping[tuple[str, str, str], Paper]
    sittings: Mapping[tuple[UUID, UUID], Sitting]


def take_in(content: bytes, cycle: Cycle, *, only: Sequence[UUID] | None, organisation: UUID | None, dry_run: bool, by: Actor) -> tuple[Report, ScoreImport | None]:
    """Judge a sheet of scores, and unless `dry_run` keep the sound ones to be confirmed; nothing is entered yet. `only`: the assessment
    organisations whose records it may name. The import is None where nothing is to be confirmed. Raises Invalid, TooLarge, NotAllowed."""
    if not settings.value("offline_scores"):
        raise NotAllowed(CLOSED)
    report = Report()
    rows = [row for row in sheets.read(content, COLUMNS, NEEDED, report) if not row.is_foot("name", "score")]
    if not rows:
        raise Invalid("文件中没有数据行,请在表头下面填写成绩后重新上传。", "file")
    if not {"ticket", "number"} & set(rows[0].cells):
        raise Invalid("没有找到准考证号或证件号码列,至少需要其中一列。", "file")
    if len(rows) > MOST_ROWS:
        raise Invalid(f"一次最多导入{MOST_ROWS}行,现有{len(rows)}行,请分成几个文件。", "file")
    known, sound = _known(cycle, rows), dict[tuple[UUID, UUID], int]()
    for row in rows:
        try:
            record, paper, tenths = _judged(row, known, only)
            if (record.id, paper.id) in sound:
                raise _Unsound("subject", "与本文件前面的行重复", "同一医师同一科目只能有一个成绩,请删除重复的行。")
            standing = known.sittings.get((record.id, paper.id))
            sound[record.id, paper.id] = tenths
            if standing is not None and standing.score_tenths == tenths and standing.handed_in_by == OFFLINE:
                report.unchanged += 1
                continue
            _allow(record, standing)
        except _Unsound as fault:
            report.errors.append(Fault(row.number, row.where(COLUMNS[fault.column][0]), fault.reason, fault.remedy))
        except Refusal as refusal:
            report.errors.append(Fault(row.number, row.where(COLUMNS["score"][0]), refusal.sentence, "请核对;不应改变的,请从文件中删去该行。"))
        else:
            report.accepted += standing is None
            report.changed += standing is not None
    wanted = {pair: tenths for pair, tenths in sound.items() if _differs(known, pair, tenths)}
    if dry_run or not wanted:
        return report, None
    made = ScoreImport(id=new_id(), cycle_id=cycle.id, organisation_id=organisation, scores=len(wanted), proposed_by=by.id, proposed_at=clock.now())
    db.session.add(made)
    db.session.flush()
    db.session.add_all(
        ImportedScore(import_id=made.id, assessment_id=record, paper_id=paper, score_tenths=tenths) for (record, paper), tenths in wanted.items()
    )
    db.session.flush()
    journal.write("score_import", made.id, "proposed", by=by, scores=len(wanted), refused=len(report.errors))
    return report, made


def _differs(known: _Known, pair: tuple[UUID, UUID], tenths: int) -> bool:
    record, standing = known.records[pair[0]], known.sittings.get(pair)
    try:
        _allow(record, standing)
    except Refusal:
        return False
    return standing is None or standing.score_tenths != tenths


def _known(cycle: Cycle, rows: Iterable[Row]) -> _Known:
    listed = list(rows)
    tickets = {normalised(row.text("ticket")) for row in listed if row.text("ticket")}
    by_ticket = {row[0]: row[1] for row in db.session.execute(select(AdmissionTicket.number, AdmissionTicket.assessment_id).where(AdmissionTicket.number.in_(tickets)))}
    indices = {index for row in listed if row.text("number") for index in _indices(row)}
    found = db.session.execute(select(Doctor.number_index, Doctor.id).where(Doctor.number_index.in_(indices))).all()
    holders = {row[1]: bytes(row[0]) for row in found}
    wanted = select(Assessment).where(Assessment.cycle_id == cycle.id)
    wanted = wanted.where(Assessment.id.in_(by_ticket.values()) | Assessment.doctor_id.in_(holders)).order_by(Assessment.id)
    records = {row.id: row for row in db.session.scalars(wanted)}
    by_number = {holders[row.doctor_id]: row.id for row in records.values() if row.doctor_id in holders}
    doctors = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_({one.doctor_id for one in records.values()})))}
    papers = {(row.subject, row.category, row.level): row for row in db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id))}
    sat = db.session.scalars(select(Sitting).where(Sitting.assessment_id.in_(records), Sitting.voided_at.is_(None)))
    return _Known(by_ticket, by_number, records, doctors, papers, {(row.assessment_id, row.paper_id): row for row in sat})


def _indices(row: Row) -> list[bytes]:
    text = row.text("number")
    return [number_index(number) for number in dict.fromkeys((identity.login_number(text), normalised(text)[:64]))]


def _judged(row: Row, known: _Known, only: Sequence[UUID] | None) -> tuple[Assessment, Paper, int]:
    """Whose score of which paper a row is. Raises _Unsound."""
    for column in ("ticket", "number"):
        if row.lost_digits(column) and isinstance(row.cells.get(column), float | int):
            raise _Unsound(column, "号码被Excel当作数字,后几位已丢失", "请先把该列设为文本格式,再重新填写完整号码。")
    ticket, number = normalised(row.text("ticket")), row.text("number")
    if not ticket and not number:
        raise _Unsound("ticket", "准考证号和证件号码都未填写", "请至少填写其中一个。")
    column = "ticket" if ticket else "number"
    record_id = known.by_ticket.get(ticket) if ticket else next((known.by_number[one] for one in _indices(row) if one in known.by_number), None)
    record = known.records.get(record_id) if record_id else None
    if record is None or (only is not None and record.assessor_id not in only):
        where = "本考核机构本周期的医师中" if only is not None else "本省本周期的医师中"
        raise _Unsound(column, f"{where}没有这个号码", "请对照准考证核对号码。")
    doctor = known.doctors[record.doctor_id]
    if ticket and number and bytes(doctor.number_index) not in _indices(row):
        raise _Unsound("number", "证件号码与准考证号不是同一人", "请对照准考证核对两个号码。")
    if normalised(row.text("name")) != normalised(doctor.name):
        raise _Unsound("name", "姓名与号码不是同一人", "请核对姓名和号码,不要按行复制错位。")
    word = normalised(row.text("subject"))
    subject = next((code for words, code in SUBJECT_WORDS.items() if word.startswith(words)), None)
    if subject is None:
        raise _Unsound("subject", f"不认识的科目“{row.text('subject')[:20]}”", f"请填写{'或'.join(SUBJECTS.values())}。")
    if subject != "common" and record.procedure == "simple":
        raise _Unsound("subject", "该医师为简易程序,不参加这一科目", "请核对科目。")
    paper = known.papers.get((subject, doctor.category, doctor.level))
    if paper is None:
        raise _Unsound("subject", "这一科目还没有安排试卷", "请先由省级管理员安排试卷,再导入成绩。")
    return record, paper, _tenths(row.text("score"))


def _tenths(text: str) -> int:
    try:
        tenths = Decimal(_UNIT.sub("", normalised(text))) * 10
    except InvalidOperation:
        raise _Unsound("score", f"成绩“{text[:20]}”不是数字", "请填写0至100的数,最多一位小数;缺考的不要列入。") from None
    if not tenths.is_finite() or not 0 <= tenths <= 1000 or tenths != int(tenths):
        raise _Unsound("score", f"成绩“{text[:20]}”不合规定", "请填写0至100的数(按百分制),最多一位小数。")
    return int(tenths)


def _allow(record: Assessment, standing: Sitting | None) -> None:
    """Whether a score may be entered for a record that has this sitting of the paper, or none. Raises NotAllowed."""
    if standing is not None and standing.handed_in_by != OFFLINE:
        raise NotAllowed("该科目已有线上作答,不能再导入线下成绩")
    states = ("testing", "scored") if standing is not None else ("ready", "testing", "absent")
    if record.state not in states:
        raise NotAllowed(f"医师当前状态为“{STATES[record.state]}”,不能{'更改' if standing is not None else '导入'}线下成绩")


# --- confirming and entering


def locked(import_id: UUID) -> ScoreImport:
    """An import, held locked. Raises NotFound."""
    return held(ScoreImport, import_id)


def approve(row: ScoreImport, *, by: Actor) -> Job | None:
    """Confirm (held locked), by another person; asks for the scores to be entered. None where it was confirmed before. Raises Forbidden,
    NotAllowed."""
    if row.withdrawn_at:
        raise NotAllowed("这批成绩已撤回,请重新导入。")
    if row.approved_at:
        return None
    if row.proposed_by == by.id:
        raise Forbidden("导入人与确认人不能是同一人,请由另一位经办人确认。")
    row.approved_by, row.approved_at = by.id, clock.now()
    journal.write("score_import", row.id, "approved", by=by, scores=row.scores)
    return asking.ask(ENTER, f"登记线下成绩({row.scores}条)", {"import": str(row.id)}, by=by.id)


def withdraw(row: ScoreImport, *, by: Actor) -> None:
    """Take an import back (held locked). Raises NotAllowed once it is confirmed."""
    take_back(row, by=by, refusal="这批成绩已确认登记,不能撤回。有误的请更正后重新导入。")


@performing.job(ENTER)
def enter(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Enter confirmed scores, a batch a transaction. What stands already is left, so it may run again; what can't be entered any more is
    left out with the reason."""
    row = db.session.scalars(select(ScoreImport).where(ScoreImport.id == UUID(job.arguments["import"]))).one()
    if row.approved_at is None:
        raise NotAllowed("这批成绩尚未确认。")
    pairs = db.session.execute(select(ImportedScore.assessment_id, ImportedScore.paper_id).where(ImportedScore.import_id == row.id).order_by(ImportedScore.assessment_id, ImportedScore.paper_id)).all()
    by, entered, reasons = actor_of(row.approved_by), 0, Counter[str]()
    for start in range(0, len(pairs), AT_ONCE):
        for record_id, paper_id in pairs[start : start + AT_ONCE]:
            one = db.session.scalars(
                select(ImportedScore).where(ImportedScore.import_id == row.id, ImportedScore.assessment_id == record_id, ImportedScore.paper_id == paper_id)
            ).one()
            try:
                _enter(one, by)
                entered += 1
            except Refusal as refusal:
                one.left_out = refusal.sentence
                reasons[refusal.sentence] += 1
        db.session.commit()
        progress(min(start + AT_ONCE, len(pairs)), len(pairs))
    if row.entered_at is None:
        row.entered_at = clock.now()
        journal.write("score_import", row.id, "entered", by=SYSTEM, entered=entered, left_out=reasons.total())
    return {"entered": entered, "left_out": reasons.total(), "reasons": reasons}


def _enter(one: ImportedScore, by: Actor) -> None:
    record = db.session.scalars(select(Assessment).where(Assessment.id == one.assessment_id).with_for_update().execution_options(populate_existing=True)).one()
    query = select(Sitting).where(Sitting.assessment_id == record.id, Sitting.paper_id == one.paper_id, Sitting.voided_at.is_(None))
    standing = db.session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if standing is not None and standing.handed_in_by == OFFLINE and standing.score_tenths == one.score_tenths:
        return
    _allow(record, standing)
    if record.state in ("ready", "absent"):
        moves.sit_on_paper(record, by=by)
    now = clock.now()
    if standing is None:
        standing = Sitting(
            id=new_id(), assessment_id=record.id, paper_id=one.paper_id, seed=0, layout=[], opened_at=now, closes_at=now, handed_in_at=now,
            handed_in_by=OFFLINE, score_tenths=one.score_tenths,
        )  # fmt: skip
        db.session.add(standing)
        db.session.flush()
        journal.write("sitting", standing.id, "entered_on_paper", by=by, paper=str(one.paper_id), tenths=one.score_tenths, source=str(one.import_id))
        tell(record, "线下测评成绩已登记", "您参加线下测评的成绩已由考核机构登记。考核结果由省级统一发布,发布后会通知您。")
    else:
        before, standing.score_tenths = standing.score_tenths, one.score_tenths
        db.session.flush()
        journal.write("sitting", standing.id, "score_corrected", by=by, before_tenths=before, after_tenths=one.score_tenths, source=str(one.import_id))
    sat = db.session.scalars(select(Sitting.paper_id).where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None), Sitting.handed_in_at.is_not(None)))
    papers = papers_for(record)
    if record.state == "testing" and len(papers) >= wanted_subjects(record) and {paper.id for paper in papers} <= set(sat):
        moves.finish_test(record, by=SYSTEM)


def entries_of(row: ScoreImport) -> list[tuple[ImportedScore, Doctor, str]]:
    """The scores of an import with doctors and papers, by name."""
    joined = (
        select(ImportedScore, Doctor, Paper.title)
        .join(Assessment, (Assessment.tenant_id == ImportedScore.tenant_id) & (Assessment.id == ImportedScore.assessment_id))
        .join(Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id))
        .join(Paper, (Paper.tenant_id == ImportedScore.tenant_id) & (Paper.id == ImportedScore.paper_id))
        .where(ImportedScore.import_id == row.id)
    )
    return [(one[0], one[1], one[2]) for one in db.session.execute(joined.order_by(Doctor.name_key, Doctor.id, Paper.subject))]
