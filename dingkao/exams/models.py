"""Banks and their versioned questions; papers; tickets; sittings and their answers; practice."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.assessments.models import PROCEDURES, VERDICTS
from dingkao.clock import now
from dingkao.database.model import Big, Model, PlatformModel, inside, new_id, one_of
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.exams.marking import TREATMENTS, X_RULES
from dingkao.tenants import settings
from dingkao.tenants.rls import OfTenant, TenantOwned

SUBJECTS = {"common": "公共知识", "professional": "业务水平"}
TYPES = {
    "A1": "单句型最佳选择题", "A2": "病例摘要型最佳选择题", "A3": "病例组型最佳选择题", "A4": "病例串型最佳选择题",
    "B1": "标准配伍题", "X": "多项选择题", "TF": "判断题",
}  # fmt: skip
DIFFICULTIES = {"easy": "易", "medium": "中", "hard": "难"}
CHANGE_STATES = {"applied": "已更改", "waiting": "待决定", "kept": "维持原结果", "superseded": "已被后来的更正取代"}
PURPOSES = {"exam": "考试", "practice": "练习"}
PAPER_PROCEDURES = {"any": "两种程序", **PROCEDURES}
PRACTICE_BANKS = {**{f"professional:{code}": f"业务水平 · {name}" for code, name in CATEGORIES.items()}, "common": SUBJECTS["common"]}
PRACTICE_SOURCES = {"bank": "题库", "wrong": "错题", "starred": "标注的题"}


VERSION_STATES = {"pending": "待审", "approved": "已审", "returned": "已退回"}


class QuestionBank(TenantOwned, Model):
    """A bank of questions (题库). One taken over from the platform's keeps which, and the edition it was brought to."""

    __tablename__ = "question_bank"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str]
    shared_bank_id: Mapped[UUID | None]
    shared_edition: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class QuestionGroup(TenantOwned, Model):
    """What questions of A3, A4 (a case, 共用题干) or B1 (a list of options) share; a group is drawn whole or not at all.
    `label` is its 组号 in the sheet it came from."""

    __tablename__ = "question_group"
    __table_args__ = (UniqueConstraint("tenant_id", "bank_id", "digest"), inside("bank_id", "question_bank"))

    bank_id: Mapped[UUID]
    label: Mapped[str | None]
    stem: Mapped[str]
    digest: Mapped[bytes]


class Question(TenantOwned, Model):
    """A question (试题): what it is about and for. Its words stand in versions; `current_version` is the one drawn, `proposed_version` one
    that waits for a second person or was returned by one.

    `digest` is of case, stem and options: by it the same row of a sheet is known again; `likeness` is of the same without what people vary
    from copy to copy. Whatever has `retired_at` is out of use: taken out by somebody, or never approved yet (no `approved_at`).
    `exposures` counts the sittings that drew it, as far as the duty has got.
    """

    __tablename__ = "question"
    __table_args__ = (
        UniqueConstraint("tenant_id", "bank_id", "digest"),
        Index(None, "tenant_id", "subject", "category", "purpose", "kind"),
        Index(None, "tenant_id", "likeness"),
        CheckConstraint("approved_at is not null or retired_at is not null", name="unapproved_is_out_of_use"),
        one_of("subject", tuple(SUBJECTS)),
        one_of("category", tuple(CATEGORIES)),
        one_of("kind", tuple(TYPES)),
        one_of("difficulty", tuple(DIFFICULTIES)),
        one_of("purpose", tuple(PURPOSES)),
        inside("bank_id", "question_bank"),
        inside("group_id", "question_group"),
    )

    bank_id: Mapped[UUID]
    group_id: Mapped[UUID | None]
    group_position: Mapped[int] = mapped_column(default=0)
    subject: Mapped[str]
    category: Mapped[str | None]
    topic: Mapped[str | None]
    kind: Mapped[str]
    difficulty: Mapped[str] = mapped_column(default="medium")
    purpose: Mapped[str] = mapped_column(default="exam")
    digest: Mapped[bytes]
    likeness: Mapped[bytes | None]
    current_version: Mapped[UUID]
    proposed_version: Mapped[UUID | None]
    approved_at: Mapped[datetime | None] = mapped_column(default=now)
    retired_at: Mapped[datetime | None]
    exposures: Mapped[int] = mapped_column(default=0)


class QuestionVersion(TenantOwned, Model):
    """The words of a question at one time: stem, options as [[letter, text], …], answer letters in order, explanation. `about` is what it
    would make the question's own columns; a version that nobody need approve has none. Two persons: who wrote it, who approved it."""

    __tablename__ = "question_version"
    __table_args__ = (
        UniqueConstraint("tenant_id", "question_id", "number"),
        Index("question_version_pending_ix", "tenant_id", "id", postgresql_where=text("state = 'pending'")),
        one_of("state", tuple(VERSION_STATES)),
        CheckConstraint("decided_by is null or made_by is null or decided_by <> made_by", name="two_persons"),
        inside("question_id", "question"),
    )

    question_id: Mapped[UUID]
    number: Mapped[int]
    kind: Mapped[str]
    case_stem: Mapped[str | None]
    stem: Mapped[str]
    options: Mapped[list[Any]] = mapped_column(JSONB)
    answer: Mapped[str]
    explanation: Mapped[str | None]
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="approved")
    made_at: Mapped[datetime] = mapped_column(default=now)
    made_by: Mapped[UUID | None]
    decided_by: Mapped[UUID | None]
    opinion: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class Paper(TenantOwned, Model):
    """A paper (试卷) of a cycle for a subject, category, level and procedure («any»: both): its blueprint, minutes, and when it may be sat.

    `marks` are the tenths of a point that one question of a type earns, ten where none are given. `humanities` of its questions are of 公共知识,
    where it is of 业务水平; `cells` ask for topics and difficulties; `plan` is what assembly made of it all (see assembling). `fixed` are the
    versions of a paper that is the same for everybody; without them one is drawn for each sitting.
    """

    __tablename__ = "paper"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "subject", "category", "level", "procedure"),
        one_of("subject", tuple(SUBJECTS)),
        one_of("category", tuple(CATEGORIES)),
        one_of("level", tuple(LEVELS)),
        one_of("procedure", tuple(PAPER_PROCEDURES)),
        CheckConstraint("minutes between 1 and 600", name="minutes_sane"),
        CheckConstraint("opens_at < closes_at", name="window_in_order"),
        CheckConstraint("humanities >= 0", name="humanities_sane"),
        inside("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    subject: Mapped[str]
    category: Mapped[str]
    level: Mapped[str]
    procedure: Mapped[str] = mapped_column(default="any")
    title: Mapped[str]
    counts: Mapped[dict[str, Any]]
    marks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    humanities: Mapped[int] = mapped_column(default=0)
    cells: Mapped[list[Any]] = mapped_column(default=list)
    plan: Mapped[dict[str, Any] | None]
    fixed: Mapped[list[Any] | None]
    minutes: Mapped[int]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    made_at: Mapped[datetime] = mapped_column(default=now)


class AdmissionTicket(TenantOwned, Model):
    """An admission ticket (准考证) of one assessment; its number names nobody. `drawn_as` is a digest of what its paper showed when it was drawn."""

    __tablename__ = "admission_ticket"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        UniqueConstraint("tenant_id", "assessment_id"),
        inside("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    number: Mapped[str]
    issued_at: Mapped[datetime] = mapped_column(default=now)
    drawn_as: Mapped[bytes | None]


class Sitting(TenantOwned, Model):
    """One doctor's sitting (作答) of one paper. `layout` freezes question versions and option orders, from `seed` (see papers.read); `epoch` rises with
    hand-in and with a change of device, and a save under an older one is refused. A voided one (作废) counts for nothing; the paper may be sat again.
    `x_rule` is the province's of the time when it began. A score from outside (线下成绩) is a sitting without layout, handed in by «offline»."""

    __tablename__ = "sitting"
    __table_args__ = (
        Index("sitting_of_paper_ix", "tenant_id", "assessment_id", "paper_id", unique=True, postgresql_where=text("voided_at is null")),
        Index(None, "tenant_id", "handed_in_at", "closes_at"),
        CheckConstraint("handed_in_at is null or score_tenths is not null", name="handed_in_is_marked"),
        one_of("x_rule", tuple(X_RULES)),
        inside("assessment_id", "assessment"),
        inside("paper_id", "paper"),
    )

    assessment_id: Mapped[UUID]
    paper_id: Mapped[UUID]
    seed: Mapped[int] = mapped_column(Big)
    layout: Mapped[list[Any]]
    epoch: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[datetime] = mapped_column(default=now)
    closes_at: Mapped[datetime]
    handed_in_at: Mapped[datetime | None]
    handed_in_by: Mapped[str | None]
    score_tenths: Mapped[int | None]
    voided_at: Mapped[datetime | None]
    x_rule: Mapped[str] = mapped_column(default=lambda: settings.value("x_rule"))


class SittingAnswer(OfTenant, Model):
    """The newest answer to one question of a sitting: letters, the page's sequence number, when tapped and when received."""

    __tablename__ = "sitting_answer"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "sitting_id"], ["sitting.tenant_id", "sitting.id"]),
    )

    sitting_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    letters: Mapped[str]
    sequence: Mapped[int]
    tapped_at: Mapped[datetime | None]
    received_at: Mapped[datetime]


class PracticeRun(TenantOwned, Model):
    """A practice (练习) of up to fifty questions: which versions, and what was answered first to each, position → letters. `bank` is the one
    it was chosen from; a run over the wrong or the marked ones has none."""

    __tablename__ = "practice_run"
    __table_args__ = (
        Index(None, "tenant_id", "assessment_id", "id"),
        one_of("source", tuple(PRACTICE_SOURCES)),
        one_of("bank", tuple(PRACTICE_BANKS)),
        CheckConstraint("(source = 'bank') = (bank is not null)", name="bank_is_named"),
        inside("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    source: Mapped[str] = mapped_column(default="bank")
    bank: Mapped[str | None]
    layout: Mapped[list[Any]]
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    begun_at: Mapped[datetime] = mapped_column(default=now)


class MockExam(TenantOwned, Model):
    """A mock exam (模拟考试) of one subject over the practice share: a sitting in everything that its doctor sees, and in nothing that counts.
    `layout` and `x_rule` as a sitting keeps them, `marks` the tenths of a point by type, `answers` position → [letters, sequence number],
    `score_tenths` of a hundred points."""

    __tablename__ = "mock_exam"
    __table_args__ = (
        Index(None, "tenant_id", "assessment_id", "id"),
        one_of("subject", tuple(SUBJECTS)),
        one_of("x_rule", tuple(X_RULES)),
        CheckConstraint("(handed_in_at is null) = (score_tenths is null)", name="handed_in_is_marked"),
        inside("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    subject: Mapped[str]
    title: Mapped[str]
    layout: Mapped[list[Any]]
    marks: Mapped[dict[str, Any]]
    x_rule: Mapped[str] = mapped_column(default=lambda: settings.value("x_rule"))
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    opened_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    handed_in_at: Mapped[datetime | None]
    score_tenths: Mapped[int | None]


class PractisedQuestion(OfTenant, Model):
    """What a doctor has had to do with a question in practice, over all runs, mock exams and cycles: when it was last answered, whether it stands on the
    list of wrong ones (错题), and since when it is marked (标注)."""

    __tablename__ = "practised_question"
    __table_args__ = (inside("doctor_id", "doctor"), inside("question_id", "question"))

    doctor_id: Mapped[UUID] = mapped_column(primary_key=True)
    question_id: Mapped[UUID] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime | None]
    wrong: Mapped[bool] = mapped_column(default=False)
    starred_at: Mapped[datetime | None]


class PracticeWeek(OfTenant, Model):
    """How many questions of a bank a doctor answered in a week, by its Monday in Beijing, and how many of them rightly."""

    __tablename__ = "practice_week"
    __table_args__ = (one_of("bank", tuple(PRACTICE_BANKS)), inside("doctor_id", "doctor"))

    doctor_id: Mapped[UUID] = mapped_column(primary_key=True)
    monday: Mapped[date] = mapped_column(primary_key=True)
    bank: Mapped[str] = mapped_column(primary_key=True)
    answered: Mapped[int]
    answered_right: Mapped[int]


class KeyCorrection(TenantOwned, Model):
    """The correction of a key (更正答案): of one question version, for every sitting that drew it. Proposed by one person, approved by another.
    `preview` says what it would change; of approved ones the last stands, the earlier are superseded."""

    __tablename__ = "key_correction"
    __table_args__ = (
        Index(
            "key_correction_standing_ix", "tenant_id", "version_id", unique=True,
            postgresql_where=text("approved_at is not null and superseded_at is null"),
        ),
        Index(
            "key_correction_proposed_ix", "tenant_id", "version_id", unique=True,
            postgresql_where=text("approved_at is null and withdrawn_at is null"),
        ),
        one_of("treatment", tuple(TREATMENTS)),
        CheckConstraint("approved_by is null or approved_by <> proposed_by", name="two_persons"),
        inside("version_id", "question_version"),
    )  # fmt: skip

    version_id: Mapped[UUID]
    treatment: Mapped[str]
    keys: Mapped[list[Any]]
    reason: Mapped[str]
    preview: Mapped[dict[str, Any] | None]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]
    remarked_at: Mapped[datetime | None]


class ScoreChange(OfTenant, Model):
    """What a correction made of one sitting's score. Of a result that was published before it waits for the province (`waiting`): nothing of it
    changes until someone decides. The verdicts are those on 业务水平, where a line stands."""

    __tablename__ = "score_change"
    __table_args__ = (
        Index(None, "tenant_id", "sitting_id"),
        one_of("verdict_before", tuple(VERDICTS)),
        one_of("verdict_after", tuple(VERDICTS)),
        one_of("state", tuple(CHANGE_STATES)),
        inside("correction_id", "key_correction"),
        inside("sitting_id", "sitting"),
        inside("assessment_id", "assessment"),
    )

    correction_id: Mapped[UUID] = mapped_column(primary_key=True)
    sitting_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID]
    before_tenths: Mapped[int]
    after_tenths: Mapped[int]
    verdict_before: Mapped[str | None]
    verdict_after: Mapped[str | None]
    state: Mapped[str]
    reason: Mapped[str | None]
    decided_by: Mapped[UUID | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class PaperAnalysis(OfTenant, Model):
    """The item analysis (项目分析) of a paper as it was last worked out, from how many sittings."""

    __tablename__ = "paper_analysis"
    __table_args__ = (inside("paper_id", "paper"),)

    paper_id: Mapped[UUID] = mapped_column(primary_key=True)
    sittings: Mapped[int]
    content: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]


class ScoreImport(TenantOwned, Model):
    """Scores of an exam on paper (线下成绩) from one sheet: taken in by one person, confirmed by another, then entered."""

    __tablename__ = "score_import"
    __table_args__ = (
        Index(None, "tenant_id", "cycle_id", "id"),
        CheckConstraint("approved_by is null or approved_by <> proposed_by", name="two_persons"),
        inside("cycle_id", "cycle"),
        inside("organisation_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    scores: Mapped[int]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    entered_at: Mapped[datetime | None]


class ImportedScore(OfTenant, Model):
    """One score of such a sheet, in tenths of a point, and why it was left out where it was."""

    __tablename__ = "imported_score"
    __table_args__ = (
        CheckConstraint("score_tenths between 0 and 1000", name="score_sane"),
        inside("import_id", "score_import"),
        inside("assessment_id", "assessment"),
        inside("paper_id", "paper"),
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    paper_id: Mapped[UUID] = mapped_column(primary_key=True)
    score_tenths: Mapped[int]
    left_out: Mapped[str | None]


INTEGRITY_EVENTS = {"left": "离开作答页面", "offline": "网络中断", "reopened": "重新打开作答页面", "device": "更换设备继续作答"}
CASE_STATES = {"hearing": "听取陈述", "proposed": "待确认", "dismissed": "不予处理", "voided": "已作废"}
CASE_OUTCOMES = {"resit": "作废本次作答,准予重考", "absent": "作废本次作答,按缺考处理", "none": "不予处理"}


class IntegrityEvent(TenantOwned, Model):
    """Something noticed during a sitting, for people to judge: what, when it began by the server's clock, how long. Never judged by itself."""

    __tablename__ = "integrity_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sitting_id", "kind", "began_at"),
        one_of("kind", tuple(INTEGRITY_EVENTS)),
        inside("sitting_id", "sitting"),
    )

    sitting_id: Mapped[UUID]
    kind: Mapped[str]
    began_at: Mapped[datetime]
    seconds: Mapped[int] = mapped_column(default=0)


class AddedTime(TenantOwned, Model):
    """Minutes given to a sitting for a failure that was not the doctor's (补时), by whom and why; `reopened`: it had been closed at its end."""

    __tablename__ = "added_time"
    __table_args__ = (
        Index(None, "tenant_id", "sitting_id"),
        CheckConstraint("minutes between 1 and 120", name="minutes_sane"),
        inside("sitting_id", "sitting"),
    )

    sitting_id: Mapped[UUID]
    minutes: Mapped[int]
    reason: Mapped[str]
    added_by: Mapped[UUID]
    added_at: Mapped[datetime] = mapped_column(default=now)
    reopened: Mapped[bool] = mapped_column(default=False)


class IntegrityCase(TenantOwned, Model):
    """A case about a sitting (诚信核查): opened with a reason, the doctor heard, an outcome proposed by one person and decided by another."""

    __tablename__ = "integrity_case"
    __table_args__ = (
        Index("integrity_case_open_ix", "tenant_id", "sitting_id", unique=True, postgresql_where=text("state in ('hearing', 'proposed')")),
        Index(None, "tenant_id", "assessment_id"),
        Index(None, "tenant_id", "state", "id"),
        one_of("state", tuple(CASE_STATES)),
        one_of("outcome", tuple(CASE_OUTCOMES)),
        CheckConstraint("decided_by is null or decided_by <> proposed_by", name="two_persons"),
        inside("sitting_id", "sitting"),
        inside("assessment_id", "assessment"),
    )

    sitting_id: Mapped[UUID]
    assessment_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(default="hearing")
    reason: Mapped[str]
    opened_by: Mapped[UUID]
    opened_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    heard_until: Mapped[datetime]
    statement: Mapped[str | None]
    stated_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    opinion: Mapped[str | None]
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    decision_opinion: Mapped[str | None]
    resit_until: Mapped[datetime | None]
class Hall(TenantOwned, Model):
    """A hall (考场) of an assessment organisation, with its seats. A closed one takes no more slots."""

    __tablename__ = "hall"
    __table_args__ = (
        UniqueConstraint("tenant_id", "organisation_id", "name"),
        CheckConstraint("seats between 1 and 5000", name="seats_sane"),
        inside("organisation_id", "organisation"),
    )

    organisation_id: Mapped[UUID]
    name: Mapped[str]
    address: Mapped[str]
    seats: Mapped[int]
    closed_at: Mapped[datetime | None]


class Slot(TenantOwned, Model):
    """A slot (场次): when doctors of an assessment organisation may begin and must end, in a hall where one is named. It is of those who have a
    place in it and, where `institution_id` says whose, of that institution's doctors who have none elsewhere; of one subject or, without one,
    of all papers. Where an invigilator is present (`invigilated`) a start code is asked for."""

    __tablename__ = "slot"
    __table_args__ = (
        Index(None, "tenant_id", "cycle_id", "institution_id"),
        Index(None, "tenant_id", "organisation_id", "cycle_id", "opens_at"),
        one_of("subject", tuple(SUBJECTS)),
        CheckConstraint("opens_at < closes_at", name="in_order"),
        inside("cycle_id", "cycle"),
        inside("organisation_id", "organisation"),
        inside("hall_id", "hall"),
        inside("institution_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    hall_id: Mapped[UUID | None]
    institution_id: Mapped[UUID | None]
    subject: Mapped[str | None]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    invigilated: Mapped[bool] = mapped_column(default=False)
    made_at: Mapped[datetime] = mapped_column(default=now)


class SlotPlace(TenantOwned, Model):
    """The place (座位) of one record in a slot."""

    __tablename__ = "slot_place"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slot_id", "seat"),
        UniqueConstraint("tenant_id", "slot_id", "assessment_id"),
        Index(None, "tenant_id", "assessment_id"),
        inside("slot_id", "slot"),
        inside("assessment_id", "assessment"),
    )

    slot_id: Mapped[UUID]
    assessment_id: Mapped[UUID]
    seat: Mapped[int]


class ExtraTime(TenantOwned, Model):
    """Extra time (延长作答时间) of a doctor for all papers of a cycle, in minutes or in percent. Why is sealed, for it tells of health."""

    __tablename__ = "extra_time"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "doctor_id"),
        CheckConstraint("(minutes is null) <> (percent is null)", name="one_measure"),
        CheckConstraint("minutes between 1 and 300", name="minutes_sane"),
        CheckConstraint("percent between 1 and 200", name="percent_sane"),
        inside("cycle_id", "cycle"),
        inside("doctor_id", "doctor"),
    )

    cycle_id: Mapped[UUID]
    doctor_id: Mapped[UUID]
    minutes: Mapped[int | None]
    percent: Mapped[int | None]
    reason_sealed: Mapped[bytes]
    granted_by: Mapped[UUID | None]
    granted_at: Mapped[datetime] = mapped_column(default=now)
class QuestionPicture(TenantOwned, Model):
    """A picture that questions show; their words name it by the beginning of `digest`, which is of the file as it is kept."""

    __tablename__ = "question_picture"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    digest: Mapped[bytes]
    content_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size: Mapped[int]
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime] = mapped_column(default=now)


class ExposureTally(OfTenant, Model):
    """How far the sittings of a province have been counted into `question.exposures`: up to this one, in the order of their ids."""

    __tablename__ = "exposure_tally"

    reached: Mapped[UUID]


class SharedBank(PlatformModel):
    """A bank of the platform's (全国共享题库), which every province may read and take over. `edition` rises with each import."""

    __tablename__ = "shared_bank"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    edition: Mapped[int] = mapped_column(default=0)
    published_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class SharedQuestion(PlatformModel):
    """A question of a shared bank, whole in one row: `cells` are what a row of a sheet would say of it, by our columns' names."""

    __tablename__ = "shared_question"
    __table_args__ = (UniqueConstraint("bank_id", "digest"), ForeignKeyConstraint(["bank_id"], ["platform.shared_bank.id"]))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    bank_id: Mapped[UUID]
    position: Mapped[int]
    digest: Mapped[bytes]
    cells: Mapped[dict[str, Any]]
    edition: Mapped[int]
    withdrawn: Mapped[bool] = mapped_column(default=False)
