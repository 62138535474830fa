"""What institutions and offices know of a doctor's conduct: annual appraisals (年度考核), gradings of medical
ethics (医德考评), good and bad records of practice (行为记录) and administrative penalties (domain.md §1.3).

A kind is data: its columns, and the grades it may have. A further one is an entry of CONDUCT_KINDS, and its
code in the CHECK of `conduct_record.kind`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dingkao.doctors.code_lists import normalise_word


@dataclass(frozen=True)
class ConductColumn:
    """A column of a kind's spreadsheet. `headings`: the names it has in files, the first is our template's;
    `is_date`: it holds a date."""

    name: str
    headings: tuple[str, ...]
    is_required: bool = True
    is_date: bool = False


@dataclass(frozen=True)
class ConductKind:
    """A kind of record. `job`: the name of the job that imports it; `action`: what whoever imports or removes
    it must be granted, beside `conduct.import`. `grades`: code → label of the grades that
    a year has, empty for a kind whose records are events; `aliases`: other word → code; `columns`: those
    beside number and name; `key_columns`: those by which a doctor's records of this kind are told apart."""

    code: str
    label: str
    job: str
    action: str
    columns: tuple[ConductColumn, ...]
    key_columns: tuple[str, ...]
    grades: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def headings(self) -> dict[str, tuple[str, ...]]:
        """Column's name → its headings, in the order of the template."""
        return {column.name: column.headings for column in (*PERSON_COLUMNS, *self.columns)}

    def required_columns(self) -> tuple[str, ...]:
        """The names of the columns that a file must have and a row must fill in."""
        return tuple(column.name for column in (*PERSON_COLUMNS, *self.columns) if column.is_required)

    def grade_for(self, text: str) -> str | None:
        """The code of the grade that a word means; None for an unknown word."""
        word = normalise_word(text)
        codes = {normalise_word(label): code for code, label in self.grades.items()}
        return codes.get(word) or self.aliases.get(word)


PERSON_COLUMNS = (
    ConductColumn("number", ("证件号码", "身份证号", "身份证号码", "身份证件号码")),
    ConductColumn("name", ("姓名", "医师姓名")),
)
_DOCUMENT = ConductColumn("document", ("文号", "文件号", "文书号", "证书编号"), is_required=False)
FAILED_APPRAISAL, POOR_ETHICS = "failed", "poor"

CONDUCT_KINDS = {
    kind.code: kind
    for kind in (
        ConductKind(
            "annual_appraisal",
            "年度考核",
            "import_annual_appraisals",
            "conduct.appraisals",
            (
                ConductColumn("year", ("年度", "考核年度", "年份")),
                ConductColumn("grade", ("年度考核结果", "考核结果", "考核等次", "等次")),
            ),
            ("year",),
            {
                "excellent": "优秀",
                "competent": "合格",
                "basic": "基本合格",
                FAILED_APPRAISAL: "不合格",
                "undetermined": "未定等次",
            },
            {
                "称职": "competent",
                "基本称职": "basic",
                "不称职": FAILED_APPRAISAL,
                "不定等次": "undetermined",
                "不确定等次": "undetermined",
                "未确定等次": "undetermined",
            },
        ),
        ConductKind(
            "ethics_grading",
            "医德考评",
            "import_ethics_gradings",
            "conduct.ethics",
            (
                ConductColumn("year", ("年度", "考评年度", "年份")),
                ConductColumn("grade", ("医德考评结果", "考评结果", "考评等次", "等次")),
            ),
            ("year",),
            {"excellent": "优秀", "good": "良好", "fair": "一般", POOR_ETHICS: "较差"},
            {"优": "excellent", "良": "good", "差": POOR_ETHICS},
        ),
        ConductKind(
            "good_record",
            "良好行为记录",
            "import_good_records",
            "conduct.events",
            (
                ConductColumn("date", ("日期", "获得日期", "时间"), is_date=True),
                ConductColumn("matter", ("事由", "奖励名称", "内容")),
                ConductColumn("authority", ("授予机关", "授予单位", "颁发单位"), is_required=False),
                _DOCUMENT,
            ),
            ("date", "matter"),
        ),
        ConductKind(
            "bad_record",
            "不良行为记录",
            "import_bad_records",
            "conduct.events",
            (
                ConductColumn("date", ("日期", "发生日期", "时间"), is_date=True),
                ConductColumn("matter", ("事由", "不良行为", "内容")),
                ConductColumn("authority", ("处理机关", "处理单位", "认定机关"), is_required=False),
                _DOCUMENT,
            ),
            ("date", "matter"),
        ),
        ConductKind(
            "penalty",
            "行政处罚",
            "import_penalties",
            "conduct.events",
            (
                ConductColumn("date", ("处罚日期", "决定日期", "日期"), is_date=True),
                ConductColumn("matter", ("处罚事由", "违法事实", "事由")),
                ConductColumn("authority", ("处罚机关", "处罚单位", "决定机关"), is_required=False),
                _DOCUMENT,
            ),
            ("date", "matter"),
        ),
    )
}
"""Code → every kind, in the order in which pages show them."""
