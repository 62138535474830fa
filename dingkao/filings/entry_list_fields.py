"""The entry lists of a filing (domain.md §2.1) and the fields of their entries."""

from dataclasses import dataclass

from dingkao.filings.field_choices import DEGREES, EDUCATIONS, identity_choices
from dingkao.filings.fields import Field


@dataclass(frozen=True)
class EntryList:
    """The definition of a list of entries. `required`: submission needs at least one entry; `proofs`: the
    most proofs that an entry may have."""

    label: str
    step: int
    fields: tuple[Field, ...]
    required: bool = False
    proofs: int = 0


_SPAN_FIELDS = (
    Field("since", "开始时间", "month", True),
    Field("until", "结束时间", "month", hint="至今的请留空"),
)
_REGISTRATION_FIELDS = (
    Field("name", "备案机构", "text", True),
    Field("authority", "备案机关"),
    Field("since", "开始日期", "day", True),
    Field(
        "until",
        "结束日期",
        "day",
        hint="长期有效的请留空",
        may_be_future=True,
    ),
)
_EDUCATION_FIELDS = (
    Field("name", "学校", "text", True),
    Field("major", "专业"),
    Field("education", "学历", "one", True, identity_choices(EDUCATIONS)),
    Field("degree", "学位", "one", choices=identity_choices(DEGREES)),
    *_SPAN_FIELDS,
)
_PRACTICE_FIELDS = (
    Field("name", "执业机构", "text", True),
    Field("department", "科室"),
    Field("post", "职务或职称"),
    *_SPAN_FIELDS,
)
_TRAINING_FIELDS = (
    Field("name", "名称", "text", True),
    Field("place", "机构"),
    *_SPAN_FIELDS,
)
_CONDUCT_FIELDS = (
    Field("when", "时间", "month", True, in_cycle=True),
    Field("name", "事由", "text", True),
)
ENTRY_LISTS = {
    "registrations": EntryList("多机构备案", 3, _REGISTRATION_FIELDS),
    "education": EntryList("教育经历", 3, _EDUCATION_FIELDS, required=True),
    "practice": EntryList("执业经历", 3, _PRACTICE_FIELDS, required=True),
    "training": EntryList("培训进修经历", 3, _TRAINING_FIELDS),
    "good_records": EntryList(
        "良好执业行为记录",
        4,
        (*_CONDUCT_FIELDS, Field("by", "授予机关")),
        proofs=5,
    ),
    "bad_records": EntryList(
        "不良执业行为记录",
        4,
        (*_CONDUCT_FIELDS, Field("by", "处理机关")),
        proofs=5,
    ),
}
MAX_ENTRIES = 30


def entry_lists_of(step: int) -> dict[str, EntryList]:
    """Returns the entry lists of a step, kind → definition."""
    return {kind: entry_list for kind, entry_list in ENTRY_LISTS.items() if entry_list.step == step}
