"""Corrections of keys (更正答案): proposed by one person, approved by another, from then on the key by which everything is marked."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, any_, cast, func, select

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound
from dingkao.exams.marking import SEVERAL, WORTH, Item, score_tenths
from dingkao.exams.models import KeyCorrection, Paper, QuestionVersion, Sitting, SittingAnswer
from dingkao.exams.papers import read
from dingkao.exams.words import Words, words_of
from dingkao.journal import writing as journal
from dingkao.journal.proposing import held, take_back
from dingkao.journal.writing import Actor
from dingkao.tenants.asking import TENANT, Asked, an_id, ids

AT_ONCE = 100
MOST_KEYS, LONGEST_REASON = 8, 500
_BETWEEN = re.compile("[,\uff0c;\uff1b/\u3001|\\s]+")


class Key(NamedTuple):
    """How a version is marked now: by its own key, or by the correction that stands."""

    kind: str
    keys: tuple[str, ...]
    treatment: str


def _stands() -> ColumnElement[bool]:
    return and_(
        KeyCorrection.tenant_id == TENANT, KeyCorrection.version_id == any_(ids("versions")), KeyCorrection.approved_at.is_not(None),
        KeyCorrection.superseded_at.is_(None),
    )  # fmt: skip


def _sheet() -> Select[Any]:
    corrections = select(func.jsonb_agg(func.jsonb_build_array(KeyCorrection.version_id, KeyCorrection.treatment, KeyCorrection.keys))).where(_stands())
    answers = select(func.jsonb_agg(func.jsonb_build_array(SittingAnswer.position, SittingAnswer.letters))).where(
        SittingAnswer.tenant_id == TENANT, SittingAnswer.sitting_id == an_id("sitting")
    )  # fmt: skip
    return select(Paper.marks, corrections.scalar_subquery(), answers.scalar_subquery()).where(Paper.tenant_id == TENANT, Paper.id == an_id("paper"))


_CORRECTED = Asked(lambda: select(KeyCorrection.version_id, KeyCorrection.treatment, KeyCorrection.keys).where(_stands()))
_SHEET = Asked(_sheet)


def keys_of(versions: Iterable[UUID]) -> dict[UUID, Key]:
    """How each of `versions` is marked now."""
    written = words_of(versions)
    return _as_corrected(written, _CORRECTED.rows(versions=list(written)))


def _as_corrected(written: Mapping[UUID, Words], corrections: Iterable[Any]) -> dict[UUID, Key]:
    """Keys as versions were written with them, and in their place those of the corrections that stand: (version, treatment, keys)."""
    corrected = {UUID(str(version)): (tuple(keys), treatment) for version, treatment, keys in corrections}
    return {version: Key(words.kind, *corrected.get(version, ((words.answer,), "marked"))) for version, words in written.items()}


def items_of(sitting: Sitting) -> list[Item]:
    """The questions of a sitting in its order, as they are marked now. Where corrections have left none that counts, all are credited: nobody
    is kept from handing in, nor loses by it."""
    return sheet_of(sitting)[0]


def sheet_of(sitting: Sitting) -> tuple[list[Item], dict[int, str]]:
    """The same with what has been answered, position → letters, in one question."""
    versions = [one.version for one in read(sitting.layout)]
    written = words_of(versions)
    [(marks, corrections, answers)] = _SHEET.rows(paper=sitting.paper_id, sitting=sitting.id, versions=list(written))
    keys = _as_corrected(written, corrections or ())
    return marked(item_of(keys[version], marks) for version in versions), dict(answers or ())


def marked(items: Iterable[Item]) -> list[Item]:
    """The questions as they are marked: where none of them counts, all are credited."""
    found = list(items)
    return found if counts(found) else [item._replace(treatment="credited", worth=WORTH) for item in found]


def counts(items: Iterable[Item]) -> bool:
    """Whether any of a sitting's questions counts."""
    return any(item.treatment != "excluded" and item.worth for item in items)


def item_of(key: Key, marks: dict[str, int]) -> Item:
    """A question as it is marked on a paper that gives `marks` by type."""
    given = {"worth": int(marks[key.kind])} if key.kind in marks else {}
    return Item(key.kind, key.keys, treatment=key.treatment, **given)


# --- proposing and approving


def version_of(version_id: UUID) -> QuestionVersion:
    """A question version. Raises NotFound."""
    row = db.session.scalar(select(QuestionVersion).where(QuestionVersion.id == version_id))
    if row is None:
        raise NotFound
    return row


def standing(version_id: UUID) -> KeyCorrection | None:
    """The correction by which a version is marked, where there is one."""
    query = select(KeyCorrection).where(KeyCorrection.version_id == version_id, KeyCorrection.approved_at.is_not(None), KeyCorrection.superseded_at.is_(None))
    return db.session.scalar(query)


def judged_keys(version: QuestionVersion, text: str) -> list[str]:
    """The keys that were typed, each right by itself: letters of the question's options, several keys with a comma between. Raises Invalid."""
    known = {letter for letter, _ in version.options}
    keys = list(dict.fromkeys("".join(sorted(set(part))) for part in _BETWEEN.split(text.upper()) if part))
    if not keys:
        raise Invalid("请填写正确答案,如A;多个答案均可的用逗号隔开,如A,C。", "keys")
    for key in keys:
        if not set(key) <= known:
            raise Invalid(f"答案“{key[:20]}”不在选项{'、'.join(sorted(known))}之中。", "keys")
        if version.kind != SEVERAL and len(key) > 1:
            raise Invalid(f"这道题是单项选择,“{key}”有多个字母。多个答案均可的请用逗号隔开,如{','.join(key)}。", "keys")
    if len(keys) > MOST_KEYS:
        raise Invalid(f"最多填写{MOST_KEYS}个可接受的答案。", "keys")
    return keys


def propose(version: QuestionVersion, *, treatment: str, keys: str, reason: str, by: Actor) -> KeyCorrection:
    """Propose a correction; a proposal for the same version that nobody has approved is replaced. Raises Invalid naming the field, NotAllowed
    where nothing would change."""
    db.session.scalars(select(QuestionVersion.id).where(QuestionVersion.id == version.id).with_for_update()).one()
    now = keys_of([version.id])[version.id]
    if treatment == "marked":
        wanted = judged_keys(version, keys)
    elif treatment in ("credited", "excluded"):
        wanted = list(now.keys)
    else:
        raise Invalid("请选择更正方式。", "treatment")
    if not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise Invalid(f"请填写更正理由,不超过{LONGEST_REASON}字。", "reason")
    if treatment == now.treatment and (treatment != "marked" or set(wanted) == set(now.keys)):
        raise Invalid("与现行判分方式相同,无需更正。", "keys" if treatment == "marked" else "treatment")
    proposed = select(KeyCorrection).where(KeyCorrection.version_id == version.id, KeyCorrection.approved_at.is_(None), KeyCorrection.withdrawn_at.is_(None))
    for earlier in db.session.scalars(proposed.with_for_update()):
        withdraw(earlier, by=by)
    db.session.flush()
    row = KeyCorrection(
        id=new_id(), version_id=version.id, treatment=treatment, keys=wanted, reason=reason.strip(), proposed_by=by.id, proposed_at=clock.now()
    )
    db.session.add(row)
    db.session.flush()
    journal.write("key_correction", row.id, "proposed", by=by, version=str(version.id), treatment=treatment, keys=wanted, reason=row.reason)
    return row


def locked(correction_id: UUID) -> KeyCorrection:
    """A correction, held locked. Raises NotFound."""
    return held(KeyCorrection, correction_id)


def approve(row: KeyCorrection, *, by: Actor) -> bool:
    """Approve (held locked), by another person than proposed; False where it was approved before. From now on the version is marked by it,
    whoever hands in later too. Raises Forbidden, NotAllowed."""
    if row.withdrawn_at:
        raise NotAllowed("该更正已撤回,请重新提出。")
    if row.approved_at:
        return False
    if row.proposed_by == by.id:
        raise Forbidden("提出人与确认人不能是同一人,请由另一位省级管理员确认。")
    if row.preview is None:
        raise NotAllowed("影响范围还没有计算完,请稍候再确认。")
    if row.preview["empty"]:
        raise NotAllowed("更正后有试卷没有任何计分的题,不能这样更正。请改用“全部给分”。")
    earlier = standing(row.version_id)
    if earlier:
        earlier.superseded_at = clock.now()
        db.session.flush()
    row.approved_by, row.approved_at = by.id, clock.now()
    db.session.flush()
    journal.write("key_correction", row.id, "approved", by=by, treatment=row.treatment, keys=row.keys)
    return True


def withdraw(row: KeyCorrection, *, by: Actor) -> None:
    """Take a proposal back (held locked). Raises NotAllowed once it is approved."""
    take_back(row, by=by, refusal="更正已确认并生效,不能撤回。如有误,请再提出一次更正。")


# --- the sittings that drew it


@dataclass(frozen=True)
class Rescored:
    """A sitting that was handed in, and what it scores now; None where none of its questions counts any more."""

    sitting: Sitting
    after: int | None


def drawn_by(version_id: UUID) -> Iterator[list[tuple[UUID, UUID]]]:
    """The sittings not voided that drew a version, handed in or not, with their records, a batch at a time and in the order of their ids."""
    after = UUID(int=0)
    while True:
        query = select(Sitting.id, Sitting.assessment_id).where(
            Sitting.id > after, Sitting.voided_at.is_(None), cast(Sitting.layout, Text).contains(f'"{version_id} ', autoescape=True)
        )
        rows = [(row[0], row[1]) for row in db.session.execute(query.order_by(Sitting.id).limit(AT_ONCE))]
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def rescored(sittings: Sequence[Sitting], instead: KeyCorrection | None = None) -> list[Rescored]:
    """What sittings handed in score now, or would score were the correction `instead` to stand."""
    marked = [one for one in sittings if one.handed_in_at is not None and one.layout]
    layouts = {one.id: [drawn.version for drawn in read(one.layout)] for one in marked}
    keys = keys_of({version for versions in layouts.values() for version in versions})
    if instead is not None and instead.version_id in keys:
        keys[instead.version_id] = Key(keys[instead.version_id].kind, tuple(instead.keys), instead.treatment)
    papers = select(Paper.id, Paper.marks).where(Paper.id.in_({one.paper_id for one in marked}))
    marks = {row[0]: row[1] for row in db.session.execute(papers)}
    answers: dict[UUID, dict[int, str]] = {one.id: {} for one in marked}
    given = select(SittingAnswer.sitting_id, SittingAnswer.position, SittingAnswer.letters).where(SittingAnswer.sitting_id.in_(answers))
    for sitting_id, position, letters in db.session.execute(given):
        answers[sitting_id][position] = letters
    found = []
    for one in marked:
        items = [item_of(keys[version], marks[one.paper_id]) for version in layouts[one.id]]
        found.append(Rescored(one, score_tenths(items, answers[one.id], one.x_rule) if counts(items) else None))
    return found
