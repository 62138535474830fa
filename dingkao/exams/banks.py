"""Banks and their questions from day to day: found, written, looked at by a second person, taken out of use, counted, compared."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, String, Uuid, and_, cast, column, func, or_, select, update, values

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams.importing import (
    APPROVED,
    LETTERS,
    OF_A_CASE,
    OF_QUESTION,
    PENDING,
    RETURNED,
    Unsound,
    digest_of,
    group_digest_of,
    judge,
    last_number,
    supersede,
    take_in,
)
from dingkao.exams.likeness import likeness
from dingkao.exams.models import (
    DIFFICULTIES,
    PURPOSES,
    SUBJECTS,
    TYPES,
    VERSION_STATES,
    ExposureTally,
    KeyCorrection,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
    Sitting,
)
from dingkao.exams.papers import read
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor
from dingkao.outside.sheets import Report, Row
from dingkao.people.accounts import actor_of

KEEPERS = ("province_admin", "question_editor")
STATES = {"used": "使用中", "pending": "待审", "returned": "已退回", "retired": "已停用"}
GROUPED = (*OF_A_CASE, "B1")
ALONE = tuple(kind for kind in TYPES if kind not in GROUPED)
FIELDS = {"题干": "stem", "选项": "options", "答案": "answer", "题型": "kind", "共用题干": "case_stem", "执业类别": "category", "解析": "explanation", "考点": "topic", "组号": "group"}
ALIKE_SHOWN = 50
COUNTED_AT_ONCE, SECONDS_A_ROUND, SETTLED = 500, 3.0, timedelta(minutes=10)


def bank_of(bank_id: UUID) -> QuestionBank:
    """A bank of the province. Raises NotFound."""
    row = db.session.scalar(select(QuestionBank).where(QuestionBank.id == bank_id))
    if row is None:
        raise NotFound
    return row


def question_of(question_id: UUID, *, lock: bool = False) -> Question:
    """A question of the province. Raises NotFound."""
    query = select(Question).where(Question.id == question_id)
    row = db.session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)
    if row is None:
        raise NotFound
    return row


def newest(row: Question) -> UUID:
    """The version with a question's newest words, approved or waiting."""
    return row.proposed_version or row.current_version


def versions_of(rows: Iterable[Question]) -> dict[UUID, QuestionVersion]:
    """The newest version of each question, by the question's id."""
    wanted = {newest(row): row.id for row in rows}
    found = db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_(wanted)))
    return {wanted[version.id]: version for version in found}


def state_of(row: Question, version: QuestionVersion) -> str:
    """One of STATES: what is to be said first of a question."""
    if version.state == PENDING:
        return "pending"
    if row.approved_at is None:
        return "returned"
    return "retired" if row.retired_at else "used"


def found(bank_id: UUID, asked: Mapping[str, str]) -> Select[Any]:
    """The questions of a bank that match `asked`: q (words of case, stem or options), kind, subject, topic, difficulty, purpose, state;
    what is no value of its list is passed over."""
    query = select(Question).where(Question.bank_id == bank_id)
    for name, known in (("kind", TYPES), ("subject", SUBJECTS), ("difficulty", DIFFICULTIES), ("purpose", PURPOSES)):
        if asked.get(name) in known:
            query = query.where(getattr(Question, name) == asked[name])
    if asked.get("topic"):
        query = query.where(Question.topic == asked["topic"])
    state = asked.get("state")
    if state == "pending":
        query = query.where(Question.proposed_version.is_not(None))
    elif state == "returned":
        query = query.where(Question.approved_at.is_(None), Question.proposed_version.is_(None))
    elif state in ("used", "retired"):
        query = query.where(Question.approved_at.is_not(None), Question.retired_at.is_(None) if state == "used" else Question.retired_at.is_not(None))
    if words := asked.get("q", "").strip():
        pattern = "%" + re.sub(r"[\\%_]", r"\\\g<0>", words) + "%"
        holds = or_(
            QuestionVersion.stem.ilike(pattern), QuestionVersion.case_stem.ilike(pattern), cast(QuestionVersion.options, String).ilike(pattern)
        )
        mine = select(QuestionVersion.question_id).where(
            QuestionVersion.question_id == Question.id, QuestionVersion.tenant_id == Question.tenant_id,
            QuestionVersion.id == func.coalesce(Question.proposed_version, Question.current_version), holds,
        )  # fmt: skip
        query = query.where(mine.exists())
    return query


def topics_of(bank_id: UUID) -> list[str]:
    """The topics that a bank's questions have."""
    query = select(Question.topic).where(Question.bank_id == bank_id, Question.topic.is_not(None)).distinct().order_by(Question.topic)
    return [topic for topic in db.session.scalars(query.limit(500)) if topic]


@dataclass
class Counted:
    """How many questions of a bank are in use, by subject and purpose, how many wait, and how many are out of use."""

    used: dict[tuple[str, str], int]
    pending: int = 0
    retired: int = 0


def counted() -> dict[UUID, Counted]:
    """The numbers of every bank."""
    waits, approved = Question.proposed_version.is_not(None), Question.approved_at.is_not(None)
    query = select(
        Question.bank_id, Question.subject, Question.purpose, func.count().filter(Question.retired_at.is_(None)), func.count().filter(waits),
        func.count().filter(and_(approved, Question.retired_at.is_not(None))),
    ).group_by(Question.bank_id, Question.subject, Question.purpose)  # fmt: skip
    told: dict[UUID, Counted] = {}
    for bank, subject, purpose, used, pending, retired in db.session.execute(query):
        one = told.setdefault(bank, Counted({}))
        one.used[subject, purpose] = used
        one.pending += pending
        one.retired += retired
    return told


# --- written


def add(bank: QuestionBank, cells: Mapping[str, Any], *, by: Actor) -> Question:
    """Write a question of `bank`; it waits for a second person. Raises Invalid naming the field."""
    _judged(cells)
    report = take_in([Row(1, cells)], bank=bank.name, by=by, report=Report())
    if report.errors:
        raise Invalid(f"{report.errors[0].reason}。{report.errors[0].remedy}", "stem")
    if not report.accepted:
        raise Invalid("题库中已有相同的题目。", "stem")
    return db.session.scalars(select(Question).where(Question.bank_id == bank.id).order_by(Question.id.desc()).limit(1)).one()


def _judged(cells: Mapping[str, Any]) -> Any:
    try:
        read_ = judge(Row(1, cells))[0]
        if read_.subject == "professional" and not read_.category:
            raise Unsound("执业类别", "业务水平的题没有执业类别,不会用于任何试卷", "请选择执业类别。")
        return read_
    except Unsound as refused:
        heading, reason, remedy = refused.fault
        raise Invalid(f"{reason}。{remedy}", FIELDS.get(heading)) from refused


def revise(row: Question, cells: Mapping[str, Any], *, by: Actor) -> int:
    """Write other words for a question (held locked), or another thing that it says of itself; a second person looks first. What its group
    shares is changed for the whole group. How many questions got a version. Raises Invalid naming the field."""
    read_ = _judged(dict(cells) | {"group": label_of(row)})
    version = db.session.get_one(QuestionVersion, (row.tenant_id, newest(row)))
    families = OF_A_CASE if version.kind in OF_A_CASE else ("B1",) if version.kind == "B1" else ALONE
    if row.group_id and read_.kind not in families:
        raise Invalid(f"同组的题目不能单独改为{read_.kind}型题。", "kind")
    if not row.group_id and read_.kind in GROUPED:
        raise Invalid(f"{read_.kind}型题按组编写,请用“新增题目”或导入。", "kind")
    digest = digest_of(read_.kind, label_of(row), read_.case_stem, read_.stem, read_.options)
    twin = select(Question.id).where(Question.bank_id == row.bank_id, Question.digest == digest, Question.id != row.id)
    if db.session.scalar(twin.limit(1)):
        raise Invalid("题库中已有相同的题目。", "stem")
    about = {name: getattr(read_, name) or None for name in OF_QUESTION}
    words = {
        "kind": read_.kind, "case_stem": read_.case_stem or None, "stem": read_.stem, "options": [list(one) for one in read_.options],
        "answer": read_.answer, "explanation": read_.explanation or None,
    }  # fmt: skip
    standing = {name: getattr(row, name) for name in OF_QUESTION} | version.about
    if about == standing and all(getattr(version, name) == text for name, text in words.items()):
        raise Invalid("没有改动,无需保存。")
    _propose(row, words, about, by)
    done = 1
    shared = {"case_stem": words["case_stem"]} if read_.kind in OF_A_CASE else {"options": words["options"]} if read_.kind == "B1" else {}
    for other in _others(row) if shared else []:
        theirs = db.session.get_one(QuestionVersion, (other.tenant_id, newest(other)))
        if any(getattr(theirs, name) != value for name, value in shared.items()):
            kept = {name: getattr(theirs, name) for name in words}
            if "options" in shared and not set(theirs.answer) <= {letter for letter, _ in words["options"]}:
                raise Invalid("同组另一题的答案在新的备选答案中没有了,请保留那个选项。", "options")
            _propose(other, kept | shared, {name: getattr(other, name) for name in OF_QUESTION} | theirs.about, by)
            done += 1
    return done


def after_correction(correction: KeyCorrection) -> tuple[Question, str]:
    """The bank's question behind a corrected key, and how it stands to the correction: «same», «pending» (its newest words have the key, and wait),
    «retired», «differs» (and its key can be mended as it is), «by_hand» (its words are others by now, or the correction is no single key)."""
    version = db.session.scalars(select(QuestionVersion).where(QuestionVersion.id == correction.version_id)).one()
    row = question_of(version.question_id)
    now = versions_of([row])[row.id]
    single = correction.treatment == "marked" and len(correction.keys) == 1
    if single and now.answer == correction.keys[0]:
        return row, "pending" if now.state == PENDING else "same"
    if row.approved_at is not None and row.retired_at is not None:
        return row, "retired"
    alike_ = (now.kind, now.case_stem, now.stem, now.options) == (version.kind, version.case_stem, version.stem, version.options)
    return row, "differs" if single and alike_ else "by_hand"


def mend_key(correction: KeyCorrection, *, by: Actor) -> Question:
    """Propose the corrected key as a new version of the bank's question, or what waits of it with that key; a second person looks first. Proposed
    already: nothing happens. Raises NotAllowed where that can't be done by itself."""
    if correction.approved_at is None or correction.superseded_at is not None:
        raise NotAllowed("该更正尚未确认或已被取代,不能据此更正题库。")
    question_of(after_correction(correction)[0].id, lock=True)
    row, standing = after_correction(correction)
    if standing == "differs":
        now = versions_of([row])[row.id]
        words = {name: getattr(now, name) for name in ("kind", "case_stem", "stem", "options", "explanation")}
        _propose(row, words | {"answer": correction.keys[0]}, {name: getattr(row, name) for name in OF_QUESTION} | now.about, by)
    elif standing not in ("same", "pending"):
        raise NotAllowed("这道题在题库中已改动、停用,或更正后的判分不是一个答案,请到题目页修改。")
    return row


def label_of(row: Question) -> str:
    """The 组号 of a question's group."""
    return (db.session.scalar(select(QuestionGroup.label).where(QuestionGroup.id == row.group_id)) or "") if row.group_id else ""


def _others(row: Question) -> list[Question]:
    query = select(Question).where(Question.group_id == row.group_id, Question.id != row.id).order_by(Question.id).with_for_update()
    return list(db.session.scalars(query)) if row.group_id else []


def _propose(row: Question, words: Mapping[str, Any], about: Mapping[str, Any], by: Actor) -> None:
    if row.proposed_version:
        supersede(row.proposed_version)
    version = QuestionVersion(
        id=new_id(), question_id=row.id, number=last_number(row.id) + 1, about=dict(about), state=PENDING, made_by=by.id, **words
    )
    db.session.add(version)
    db.session.flush()
    row.proposed_version = version.id
    if row.approved_at is None:
        row.current_version = version.id
    journal.write("question", row.id, "proposed", by=by, version=version.number)


# --- looked at


@move(PENDING, to=APPROVED, actors=(*KEEPERS, "system"), states=VERSION_STATES)
def approve(version: QuestionVersion, *, by: Actor) -> None:
    """A second person lets a version in: from now on it is the one drawn; sittings that have an earlier one keep it. Raises Invalid,
    NotAllowed."""
    if version.made_by is not None and version.made_by == by.id:
        raise NotAllowed("自己编写或导入的题目须由另一人审核。")
    row = question_of(version.question_id, lock=True)
    if version.id != row.proposed_version:
        raise NotAllowed("这一版已有更新的修改,请刷新后审核最新的一版。")
    options = [(letter, words) for letter, words in version.options]
    digest = digest_of(version.kind, label_of(row), version.case_stem or "", version.stem, options)
    if digest != bytes(row.digest):
        twin = select(Question.id).where(Question.bank_id == row.bank_id, Question.digest == digest)
        if db.session.scalar(twin.limit(1)):
            raise NotAllowed("题库中已有相同的题目,不能通过;请退回。")
        row.digest, row.likeness = digest, likeness(version.kind, version.case_stem or "", version.stem, options)
        _bring_group(row, version)
    for name in OF_QUESTION:
        if name in version.about:
            setattr(row, name, version.about[name])
    if row.approved_at is None:
        row.approved_at, row.retired_at = clock.now(), None
    row.current_version, row.proposed_version = version.id, None
    version.decided_by = by.id


def _bring_group(row: Question, version: QuestionVersion) -> None:
    """What the group is known again by follows what its questions share."""
    group = db.session.scalar(select(QuestionGroup).where(QuestionGroup.id == row.group_id).with_for_update()) if row.group_id else None
    if group is None:
        return
    digest = group_digest_of(group.label or "", version.case_stem or "", [words for _, words in version.options])
    taken = select(QuestionGroup.id).where(QuestionGroup.bank_id == row.bank_id, QuestionGroup.digest == digest)
    if db.session.scalar(taken) is None:
        group.digest, group.stem = digest, version.case_stem or ""


@move(PENDING, to=RETURNED, actors=KEEPERS, states=VERSION_STATES)
def turn_down(version: QuestionVersion, *, by: Actor, reason: str) -> None:
    """A second person sends a version back, with the reason; the one before stays in use. One's own may be taken back. Raises Invalid."""
    if not reason.strip():
        raise Invalid("请填写退回原因。", "reason")
    row = question_of(version.question_id, lock=True)
    if row.proposed_version == version.id:
        row.proposed_version = None
    version.opinion = reason.strip()
    if version.made_by != by.id:
        version.decided_by = by.id


def waiting(ids: Sequence[UUID]) -> list[QuestionVersion]:
    """The waiting versions of questions, held locked, with those of their groups: a group goes in whole."""
    groups = select(Question.group_id).where(Question.id.in_(ids), Question.group_id.is_not(None))
    theirs = select(Question.proposed_version).where(or_(Question.id.in_(ids), Question.group_id.in_(groups)), Question.proposed_version.is_not(None))
    query = select(QuestionVersion).where(QuestionVersion.id.in_(theirs)).order_by(QuestionVersion.id).with_for_update()
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def approve_these(ids: Sequence[UUID], *, by: Actor) -> tuple[int, int]:
    """Let in what waits of `ids`; how many, and how many were left because one wrote them oneself."""
    rows = waiting(ids)
    own = [row for row in rows if row.made_by is not None and row.made_by == by.id]
    for row in rows:
        if row not in own:
            approve(row, by=by)
    return len(rows) - len(own), len(own)


def ask_approving(bank: QuestionBank, *, by: Actor) -> Job:
    """Ask for everything that waits in a bank, and that somebody else brought, to be let in."""
    return asking.ask("approve_bank", f"通过待审题目 {bank.name[:60]}", {"bank": str(bank.id)}, by=by.id)


@performing.job("approve_bank")
def approve_bank(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Let in what waited in a bank when it was asked for; whole or not at all."""
    bank, by = bank_of(UUID(job.arguments["bank"])), actor_of(job.asked_by)
    query = select(QuestionVersion.id).join(
        Question, and_(Question.tenant_id == QuestionVersion.tenant_id, Question.proposed_version == QuestionVersion.id)
    )
    before = (Question.bank_id == bank.id, QuestionVersion.made_at <= job.asked_at, QuestionVersion.state == PENDING)
    ids = list(db.session.scalars(query.where(*before).order_by(QuestionVersion.id)))
    done = left = 0
    for start in range(0, len(ids), 200):
        locked = select(QuestionVersion).where(QuestionVersion.id.in_(ids[start : start + 200])).order_by(QuestionVersion.id).with_for_update()
        for version in db.session.scalars(locked):
            if version.made_by == by.id:
                left += 1
                continue
            approve(version, by=by)
            done += 1
        progress(start, len(ids))
    journal.write("question_bank", bank.id, "approved", by=by, approved=done, left_out=left)
    told: dict[str, Any] = {"changed": done, "left_out": left}
    return told | ({"reasons": {"自己编写或导入的题目须由另一人审核": left}} if left else {})


def set_use(row: Question, *, used: bool, by: Actor) -> None:
    """Take a question (held locked) out of use, or back into it; sittings that have it keep it. Raises NotAllowed."""
    if row.approved_at is None:
        raise NotAllowed("这道题还没有通过审核,不在使用中。")
    if used == (row.retired_at is None):
        return
    row.retired_at = None if used else clock.now()
    journal.write("question", row.id, "restored" if used else "retired", by=by)


# --- compared and counted


def alike(most: int = ALIKE_SHOWN) -> list[list[Question]]:
    """Questions that are the same but for punctuation, order of options and fillers, within a bank or across; of those in use or waiting."""
    here = or_(Question.retired_at.is_(None), Question.approved_at.is_(None))
    several = select(Question.likeness).where(here, Question.likeness.is_not(None)).group_by(Question.likeness).having(func.count() > 1).limit(most)
    rows = db.session.scalars(select(Question).where(here, Question.likeness.in_(several)).order_by(Question.likeness, Question.id))
    groups: dict[bytes, list[Question]] = {}
    for row in rows:
        groups.setdefault(bytes(row.likeness or b""), []).append(row)
    return list(groups.values())


def keep_counts() -> int:
    """Count which questions the sittings of late drew, and note the likeness of questions that have none; a duty, repeatable, that leaves to
    the next round what doesn't fit into a few seconds. A sitting is counted once its transaction is long over, so that none is passed by."""
    until = time.monotonic() + SECONDS_A_ROUND
    done = _note_likeness()
    while time.monotonic() < until and (counted_now := _count_some()):
        db.session.commit()
        done += counted_now
    return done


def _count_some() -> int:
    tally = db.session.scalar(select(ExposureTally).with_for_update())
    if tally is None:
        tally = ExposureTally(reached=UUID(int=0))
        db.session.add(tally)
        db.session.flush()
    query = select(Sitting.id, Sitting.layout).where(Sitting.id > tally.reached, Sitting.opened_at < clock.now() - SETTLED)
    rows = db.session.execute(query.order_by(Sitting.id).limit(COUNTED_AT_ONCE)).all()
    if not rows:
        return 0
    drawn = Counter(one.version for row in rows for one in read(row.layout))
    of = dict(db.session.execute(select(QuestionVersion.id, QuestionVersion.question_id).where(QuestionVersion.id.in_(drawn))).all())
    by_question: Counter[UUID] = Counter()
    for version, number in drawn.items():
        if version in of:
            by_question[of[version]] += number
    if by_question:
        new = values(column("question", Uuid), column("number", Integer), name="new").data(sorted(by_question.items()))
        db.session.execute(
            update(Question).where(Question.id == new.c.question).values(exposures=Question.exposures + new.c.number),
            execution_options={"synchronize_session": False},
        )
    tally.reached = rows[-1].id
    return len(rows)


def _note_likeness() -> int:
    query = (
        select(Question, QuestionVersion)
        .join(QuestionVersion, and_(QuestionVersion.tenant_id == Question.tenant_id, QuestionVersion.id == Question.current_version))
        .where(Question.likeness.is_(None)).limit(COUNTED_AT_ONCE).with_for_update(of=Question, skip_locked=True)
    )  # fmt: skip
    rows = db.session.execute(query).all()
    for row, version in rows:
        row.likeness = likeness(version.kind, version.case_stem or "", version.stem, version.options)
    db.session.flush()
    return len(rows)


def cells_of_form(given: Mapping[str, str]) -> dict[str, Any]:
    """What a form of a question gave, as a row of a sheet would have it; options by their fields option_A and so on."""
    cells = {name: given.get(name, "") for name in ("kind", "group", "case_stem", "stem", "explanation", "topic")}
    cells |= {f"option_{letter}": given.get(f"option_{letter}", "") for letter in LETTERS}
    own = [text for letter in LETTERS if (text := cells[f"option_{letter}"])]
    cells |= {"answer": given.get("answer", ""), "category": CATEGORIES.get(given.get("category", ""), "")}
    cells |= {"subject": given.get("subject", ""), "difficulty": given.get("difficulty", ""), "purpose": given.get("purpose", "")}
    return cells if own else cells | {"options": ""}
