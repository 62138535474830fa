"""The columns of the roster (医师名单): their headings in files, how they are stored, and the fields of the
console's form.

To add a column, add an entry to ROSTER_COLUMNS, a column of the same name to `doctors/models.Doctor`, and a
migration. It is read as plain text, unless `is_interpreted`: then `doctors/roster_rows` reads it. The form
and the doctor's page in the console show it last."""

from dataclasses import dataclass

from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
    SCOPES,
    SEXES,
)


@dataclass(frozen=True)
class RosterColumn:
    """A column.
    `headings`: the names it has in files; the first is used in our template and in reports.
    `is_required_in_file`: a file without the column is refused.
    `is_critical`: a row is refused if this cell can't be read; in any other column an unreadable cell is
    ignored.
    `is_code`: its digits are an identifier, not a quantity. `is_date`: it holds a date.
    `is_interpreted`: `doctors/roster_rows` reads it, not as plain text.
    `is_stored`: the doctor's table has a column of this name; with `is_encrypted` it is called «name_sealed».
    `is_prefilled`: the empty rows of a template may have it filled in.
    `is_kept_when_empty`: an empty cell leaves the stored value unchanged; in other columns it deletes the
    value.
    """

    name: str
    headings: tuple[str, ...]
    is_required_in_file: bool = False
    is_critical: bool = False
    is_code: bool = False
    is_date: bool = False
    is_interpreted: bool = False
    is_stored: bool = True
    is_encrypted: bool = False
    is_prefilled: bool = False
    is_kept_when_empty: bool = False


@dataclass(frozen=True)
class RosterFormField:
    """The field of the console's form for a column. `kind`: text, date, choice (may be left empty) or select
    (has a preselected value); `choices`: pairs of value and label; `required_message`: the error if the field
    is left empty, "" if it may be."""

    column: str
    label: str
    kind: str = "text"
    choices: tuple[tuple[str, str], ...] = ()
    required_message: str = ""
    hint: str = ""


ROSTER_COLUMNS = (
    RosterColumn(
        "name",
        ("姓名", "医师姓名"),
        is_required_in_file=True,
        is_critical=True,
        is_interpreted=True,
    ),
    RosterColumn("sex", ("性别",), is_interpreted=True, is_kept_when_empty=True),
    RosterColumn(
        "document_type",
        ("证件类型", "身份证件类型"),
        is_critical=True,
        is_interpreted=True,
        is_prefilled=True,
        is_kept_when_empty=True,
    ),
    RosterColumn(
        "number",
        (
            "证件号码",
            "身份证号",
            "身份证号码",
            "证件号",
            "居民身份证号",
            "身份证件号码",
            "公民身份号码",
            "身份证",
        ),
        is_required_in_file=True,
        is_critical=True,
        is_code=True,
        is_interpreted=True,
        is_stored=False,
    ),
    RosterColumn("ethnicity", ("民族",), is_interpreted=True),
    RosterColumn("education", ("学历", "最高学历")),
    RosterColumn(
        "level",
        ("级别", "医师级别", "执业级别"),
        is_critical=True,
        is_interpreted=True,
        is_prefilled=True,
        is_kept_when_empty=True,
    ),
    RosterColumn(
        "category",
        ("执业类别", "类别"),
        is_required_in_file=True,
        is_critical=True,
        is_interpreted=True,
    ),
    RosterColumn("scope", ("执业范围",), is_interpreted=True),
    RosterColumn(
        "qualification",
        ("医师资格证书编码", "资格证书编码"),
        is_code=True,
        is_interpreted=True,
        is_encrypted=True,
    ),
    RosterColumn(
        "practice",
        ("医师执业证书编码", "执业证书编码"),
        is_code=True,
        is_interpreted=True,
        is_encrypted=True,
    ),
    RosterColumn(
        "institution",
        ("主要执业机构", "主要执业机构名称", "机构名称", "工作单位"),
        is_interpreted=True,
        is_stored=False,
        is_prefilled=True,
    ),
    RosterColumn(
        "registration_number",
        (
            "机构登记号",
            "主要执业机构登记号",
            "医疗机构登记号",
            "执业机构登记号",
            "登记号",
            "机构代码",
        ),
        is_required_in_file=True,
        is_critical=True,
        is_code=True,
        is_interpreted=True,
        is_stored=False,
        is_prefilled=True,
    ),
    RosterColumn("department", ("科室", "所在科室"), is_interpreted=True),
    RosterColumn("title", ("技术职称", "专业技术职称", "职称")),
    RosterColumn(
        "mobile",
        (
            "手机号码",
            "手机号",
            "手机",
            "移动电话",
            "联系电话",
            "联系方式",
        ),
        is_code=True,
        is_interpreted=True,
        is_encrypted=True,
    ),
    RosterColumn(
        "first_registered",
        ("首次注册日期", "首次注册时间"),
        is_date=True,
        is_interpreted=True,
    ),
)
"""The columns in the order of the template."""

COLUMN_HEADINGS = {column.name: column.headings for column in ROSTER_COLUMNS}
REQUIRED_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_required_in_file)
CRITICAL_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_critical)
CODE_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_code)
DATE_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_date)
TEXT_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if not column.is_interpreted)
ENCRYPTED_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_encrypted)
PREFILLED_COLUMNS = tuple(column.name for column in ROSTER_COLUMNS if column.is_prefilled)
KEPT_WHEN_EMPTY = tuple(column.name for column in ROSTER_COLUMNS if column.is_kept_when_empty)

_FIRST_FIELDS = (
    "name",
    "document_type",
    "sex",
    "birth_date",
    "level",
    "category",
    "scope",
    "ethnicity",
    "education",
    "qualification",
    "practice",
    "department",
    "title",
    "mobile",
    "first_registered",
)
"""The stored digests of rows depend on this order; DOCTOR_FIELDS appends new columns to it."""
DOCTOR_FIELDS = _FIRST_FIELDS + tuple(
    column.name for column in ROSTER_COLUMNS if column.is_stored and column.name not in _FIRST_FIELDS
)
"""The fields of a doctor that a row may contain: the stored columns, and the date of birth, which is read
from the document number."""
APPENDED_COLUMNS = tuple(
    column
    for column in ROSTER_COLUMNS
    if column.is_stored and not column.is_encrypted and column.name not in _FIRST_FIELDS
)
"""The columns that DOCTOR_FIELDS appends and that are not encrypted: the doctor's page in the console lists
them, by their first heading, after those that have a place of their own there."""


def _word_choices(
    words: dict[str, str],
) -> tuple[tuple[str, str], ...]:
    """The choices of a form field whose values are the roster's words."""
    return tuple((word, word) for word in words.values())


_SCOPE_CHOICES = tuple(
    (word, f"{CATEGORIES.get(category, '其他')}：{word}") for category, word in SCOPES.values()
)
_FIRST_FORM_FIELDS = (
    RosterFormField(
        "name",
        "姓名",
        required_message="请填写与身份证一致的姓名。",
        hint="与身份证一致。",
    ),
    RosterFormField(
        "sex",
        "性别",
        "choice",
        _word_choices(SEXES),
        hint="可不选，按身份证号确定。",
    ),
    RosterFormField(
        "document_type",
        "证件类型",
        "select",
        _word_choices(DOCUMENT_TYPES),
    ),
    RosterFormField(
        "number",
        "证件号码",
        required_message="请填写证件号码。",
        hint="医师用此号码登录。",
    ),
    RosterFormField(
        "registration_number",
        "机构登记号",
        required_message="请填写主要执业机构的登记号。",
    ),
    RosterFormField("department", "科室"),
    RosterFormField("level", "级别", "select", _word_choices(LEVELS)),
    RosterFormField(
        "category",
        "执业类别",
        "choice",
        _word_choices(CATEGORIES),
        required_message="请选择执业类别。",
    ),
    RosterFormField(
        "scope",
        "执业范围",
        "choice",
        _SCOPE_CHOICES,
        hint="有多个执业范围的，填主要的一个，其余由医师填报。",
    ),
    RosterFormField("title", "技术职称"),
    RosterFormField(
        "mobile",
        "手机号码",
        hint="没有手机号的可留空，由机构发放一次性代码。",
    ),
    RosterFormField("first_registered", "首次注册日期", "date"),
    RosterFormField("qualification", "医师资格证书编码", hint="27位或24位。"),
    RosterFormField("practice", "医师执业证书编码", hint="15位。"),
    RosterFormField("ethnicity", "民族"),
    RosterFormField("education", "学历"),
)
_columns_with_field = {form_field.column for form_field in _FIRST_FORM_FIELDS} | {"institution"}
FORM_FIELDS = _FIRST_FORM_FIELDS + tuple(
    RosterFormField(
        column.name,
        column.headings[0],
        "date" if column.is_date else "text",
    )
    for column in ROSTER_COLUMNS
    if column.name not in _columns_with_field
)
"""The fields of the console's form in their order. A column that has no entry in _FIRST_FORM_FIELDS is
appended, labelled with its first heading."""
