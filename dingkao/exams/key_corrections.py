"""Corrections of answer keys (更正答案): one person proposes, another approves; from then on every sitting is
scored by the corrected key."""

import re
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.effective_keys import EffectiveKey, effective_keys
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.scoring import CORRECTION_TREATMENTS
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.proposals import get_for_update, withdraw
from dingkao.people.second_person import require_second_person
from dingkao.question_banks.models import QuestionVersion
from dingkao.question_banks.question_types import MULTIPLE_TYPES

MAX_KEYS, MAX_REASON_LENGTH = 8, 500
_KEY_SEPARATORS = re.compile("[,\uff0c;\uff1b/\u3001|\\s]+")


def get_version(version_id: UUID) -> QuestionVersion:
    """A question version. Raises NotFound."""
    version = db.session.scalar(select(QuestionVersion).where(QuestionVersion.id == version_id))
    if version is None:
        raise NotFound
    return version


def correction_in_force(version_id: UUID) -> KeyCorrection | None:
    """The correction by which a version is scored now; None if there is none."""
    query = select(KeyCorrection).where(
        KeyCorrection.version_id == version_id,
        KeyCorrection.approved_at.is_not(None),
        KeyCorrection.superseded_at.is_(None),
    )
    return db.session.scalar(query)


def parse_keys(version: QuestionVersion, text: str) -> list[str]:
    """Return the keys that were typed, in either case: each a string of the question's option letters and
    right by itself; several are separated by spaces or one of , ; / 、 |. Each is returned once, in capitals
    in alphabetical order. Raises InvalidInput (field "keys") for none, more than MAX_KEYS or an invalid
    one."""
    keys = _split_keys(text)
    if not keys:
        raise InvalidInput(
            "请填写正确答案，如A；多个答案均可的用逗号隔开，如A,C。",
            "keys",
        )
    for key in keys:
        _require_valid_key(version, key)
    if len(keys) > MAX_KEYS:
        raise InvalidInput(f"最多填写{MAX_KEYS}个可接受的答案。", "keys")
    return keys


def _split_keys(text: str) -> list[str]:
    """The keys in a text, without duplicates, each with its letters once, in capitals and in order."""
    parts = filter(None, _KEY_SEPARATORS.split(text.upper()))
    return list(dict.fromkeys("".join(sorted(set(part))) for part in parts))


def _require_valid_key(version: QuestionVersion, key: str) -> None:
    """Raise InvalidInput unless a key (one accepted combination of letters, in upper case, as `parse_keys`
    gives it) has only letters of the version's options, and at most one if its type allows one."""
    option_letters = {letter for letter, _ in version.options}
    if not set(key) <= option_letters:
        raise InvalidInput(
            f"答案“{key[:20]}”不在选项{'、'.join(sorted(option_letters))}之中。",
            "keys",
        )
    if version.kind not in MULTIPLE_TYPES and len(key) > 1:
        raise InvalidInput(
            f"这道题是单项选择，“{key}”有多个字母。多个答案均可的请用逗号隔开，如{','.join(key)}。",
            "keys",
        )


def propose_correction(
    version: QuestionVersion,
    *,
    treatment: str,
    keys: str,
    reason: str,
    by: Actor,
) -> KeyCorrection:
    """Propose a correction, with a journal entry; one that is proposed for the same version and not approved
    yet is withdrawn. Locks the version. The caller then enqueues its preview (`rescoring.enqueue_preview`),
    without which nobody can approve it. `treatment`: one of CORRECTION_TREATMENTS; `keys`: the text that was
    typed, used for the treatment "marked" only. Raises InvalidInput naming the field, also if nothing would
    change."""
    db.session.scalars(
        select(QuestionVersion.id).where(QuestionVersion.id == version.id).with_for_update()
    ).one()
    current_key = effective_keys([version.id])[version.id]
    proposed_keys = _parse_proposed_keys(version, treatment, keys, current_key)
    if not 0 < len(reason.strip()) <= MAX_REASON_LENGTH:
        raise InvalidInput(f"请填写更正理由，不超过{MAX_REASON_LENGTH}字。", "reason")
    _require_change(current_key, treatment, proposed_keys)
    _withdraw_proposals(version, by=by)
    correction = KeyCorrection(
        id=new_id(),
        version_id=version.id,
        treatment=treatment,
        keys=proposed_keys,
        reason=reason.strip(),
        proposed_by=by.id,
        proposed_at=clock.now(),
    )
    db.session.add(correction)
    db.session.flush()
    journal.write_entry(
        "key_correction",
        correction.id,
        "proposed",
        by=by,
        version=str(version.id),
        treatment=treatment,
        keys=proposed_keys,
        reason=correction.reason,
    )
    return correction


def _parse_proposed_keys(
    version: QuestionVersion,
    treatment: str,
    keys: str,
    current_key: EffectiveKey,
) -> list[str]:
    """The keys of a proposal: those typed if answers are scored by keys ("marked"), else the present ones.
    Raises InvalidInput."""
    if treatment == "marked":
        return parse_keys(version, keys)
    if treatment not in CORRECTION_TREATMENTS:
        raise InvalidInput("请选择更正方式。", "treatment")
    return list(current_key.keys)


def _require_change(current_key: EffectiveKey, treatment: str, keys: list[str]) -> None:
    """Raise InvalidInput if a proposal would change nothing."""
    if treatment == current_key.treatment and set(keys) == set(current_key.keys):
        raise InvalidInput(
            "与现行判分方式相同，无需更正。",
            "keys" if treatment == "marked" else "treatment",
        )


def _withdraw_proposals(version: QuestionVersion, *, by: Actor) -> None:
    """Lock and withdraw, each with a journal entry, the corrections of a version that are proposed and not
    approved; the version is locked."""
    proposals = proposed_corrections_query().where(KeyCorrection.version_id == version.id)
    for proposal in db.session.scalars(proposals.with_for_update()):
        withdraw_correction(proposal, by=by)
    db.session.flush()


def proposed_corrections_query() -> Select[Any]:
    """The query for the corrections that wait for approval."""
    return select(KeyCorrection).where(
        KeyCorrection.approved_at.is_(None),
        KeyCorrection.withdrawn_at.is_(None),
    )


def corrections_page(cursor: str | None) -> Page[KeyCorrection]:
    """A page of all corrections, in whatever state, the newest first."""
    return fetch_page(
        select(KeyCorrection),
        [KeyCorrection.id],
        cursor,
        descending=True,
    )


def get_correction(correction_id: UUID) -> KeyCorrection:
    """A correction of the province. Raises NotFound."""
    correction = db.session.scalar(select(KeyCorrection).where(KeyCorrection.id == correction_id))
    if correction is None:
        raise NotFound
    return correction


def get_correction_for_update(correction_id: UUID) -> KeyCorrection:
    """A correction, locked for update. Raises NotFound."""
    return get_for_update(KeyCorrection, correction_id)


def approve_correction(correction: KeyCorrection, *, by: Actor) -> bool:
    """Approve a correction (locked for update), with a journal entry. From now on the version is scored by it
    instead of the one in force; sittings handed in before are scored anew by the job that the caller then
    enqueues (`rescoring.enqueue_remarking`). Returns False if it is approved already. Raises Forbidden for
    the person who proposed it, InvalidState if it is withdrawn, has no preview yet, or would leave a paper
    without any question that counts."""
    if correction.withdrawn_at:
        raise InvalidState("该更正已撤回，请重新提出。")
    if correction.approved_at:
        return False
    require_second_person(
        by,
        correction.proposed_by,
        same="提出人与确认人不能是同一人，请由另一位省级管理员确认。",
    )
    _require_approvable(correction)
    _supersede_correction(correction.version_id)
    correction.approved_by, correction.approved_at = (
        by.id,
        clock.now(),
    )
    db.session.flush()
    journal.write_entry(
        "key_correction",
        correction.id,
        "approved",
        by=by,
        treatment=correction.treatment,
        keys=correction.keys,
    )
    return True


def _require_approvable(correction: KeyCorrection) -> None:
    """Raise InvalidState if the correction's preview is not computed yet, or says that a paper would have no
    question that counts."""
    if correction.preview is None:
        raise InvalidState("影响范围还没有计算完，请稍候再确认。")
    if correction.preview["empty"]:
        raise InvalidState("更正后有试卷没有任何计分的题，不能这样更正。请改用“全部给分”。")


def _supersede_correction(version_id: UUID) -> None:
    """End the correction that is in force for a version, if there is one."""
    earlier = correction_in_force(version_id)
    if earlier:
        earlier.superseded_at = clock.now()
        db.session.flush()


def withdraw_correction(correction: KeyCorrection, *, by: Actor) -> None:
    """Withdraw a proposed correction (locked for update), with a journal entry; does nothing if it is
    withdrawn already. Raises InvalidState once it is approved."""
    withdraw(
        correction,
        by=by,
        refusal="更正已确认并生效，不能撤回。如有误，请再提出一次更正。",
    )
