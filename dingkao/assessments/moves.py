"""The moves of a record (domain.md §11)."""

from dingkao.assessments.models import STATES, Assessment
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import is_open
from dingkao.database.model import db
from dingkao.errors import Invalid, Late
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor
from dingkao.people.models import Organisation

INCLUDERS = ("institution_clerk", "institution_reviewer", "province_admin")


@move("not_included", to="included", actors=INCLUDERS, states=STATES)
def include(record: Assessment, *, by: Actor) -> None:
    """纳入 (§11 no. 1): the institution puts its doctor on the list; enrolment is open, the assessment organisation is known."""
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    if not is_open(cycle, "filing"):
        raise Late("当前不在报名阶段,不能纳入。如需补报,请联系省级管理员调整阶段日期。")
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    if institution.assessment_organisation_id is None:
        raise Invalid(f"{institution.name}尚未指定所属考核机构,请先联系省级管理员指定。")
    record.assessor_id = institution.assessment_organisation_id


@move("included", to="not_included", actors=INCLUDERS, states=STATES)
def exclude(record: Assessment, *, by: Actor, reason: str) -> None:
    """取消纳入 (§11 no. 2), with a reason; nothing has been filed yet."""
    if not reason.strip():
        raise Invalid("请填写取消纳入的原因。", "reason")


