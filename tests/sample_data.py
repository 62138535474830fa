"""What tests hand in: ID numbers with right check digits, institutions as csv, rosters as xlsx. All of it
made up."""

import csv
import io
from datetime import date
from typing import Any

from stdnum.cn import ric

from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.question_banks.importing.columns import TEMPLATE

HEADINGS = (
    "姓名", "性别", "证件类型", "证件号码", "级别", "执业类别", "执业范围", "主要执业机构", "机构登记号", "科室", "手机号码", "首次注册日期",
)  # fmt: skip


def resident_number(
    serial: int, *, sex: str = "男", birth: date = date(1980, 1, 2), area: str = "140105"
) -> str:
    """The ID number number `serial` (0 to 499) of those born in `area` on `birth`."""
    sequence = serial * 2 + (sex == "男")
    body = f"{area}{birth:%Y%m%d}{sequence:03d}"
    return body + ric.calc_check_digit(body + "0")


def registration_number(code: int, serial: int) -> str:
    """The 机构登记号 of institution `serial` of province `code`."""
    return f"PDY{code}0000{serial:04d}"


def institution_name(code: int, serial: int) -> str:
    """The name of institution `serial` of province `code`."""
    return f"{code}省第{serial}人民医院"


def institutions_csv(code: int, count: int = 3) -> bytes:
    """`count` institutions of province `code`, as csv."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("机构名称", "机构登记号", "行政区划代码", "机构类别"))
    for serial in range(1, count + 1):
        writer.writerow(
            (institution_name(code, serial), registration_number(code, serial), f"{code}0100", "医疗机构")
        )
    return text.getvalue().encode("utf-8-sig")


def roster_row(code: int, serial: int, *, at: int = 1, **changed: Any) -> dict[str, Any]:
    """A sound row of doctor `serial` at institution `at` of province `code`; `changed` replaces cells by
    heading."""
    sex = "男" if serial % 2 else "女"
    return {
        "姓名": "医师" + "甲乙丙丁戊己庚辛壬癸"[serial % 10],
        "性别": sex,
        "证件类型": "居民身份证",
        "证件号码": resident_number(serial, sex=sex, area=f"{code}0105"),
        "级别": "执业医师",
        "执业类别": "临床",
        "执业范围": "内科专业",
        "主要执业机构": institution_name(code, at),
        "机构登记号": registration_number(code, at),
        "科室": "内科",
        "手机号码": f"138{serial:08d}",
        "首次注册日期": "2010-07-01",
    } | changed


def roster_xlsx(rows: list[dict[str, Any]], headings: tuple[str, ...] = HEADINGS) -> bytes:
    """`rows` as xlsx: the first of them is row 2 of the sheet."""
    return xlsx_writer.write_xlsx(
        headings, [[cells.get(heading, "") for heading in headings] for cells in rows]
    )


def wrong_check_digit(number: str) -> str:
    """`number` with another last character."""
    return number[:-1] + ("0" if number[-1] != "0" else "1")


QUESTIONS = {"A1": 60, "A2": 10, "A3": 9, "A4": 3, "B1": 8, "X": 10}
SHARED = {"A3": 3, "A4": 3, "B1": 4}


def hundred_question_cells(category: str) -> bytes:
    """A hundred questions of 公共知识 for a category, of every type as in QUESTIONS and grouped as in SHARED,
    as csv; the key is A, of X AC."""
    buffer = io.StringIO()
    sheet = csv.DictWriter(buffer, TEMPLATE)
    sheet.writeheader()
    for kind, count in QUESTIONS.items():
        for number in range(count):
            group = f"{kind}{number // SHARED[kind]}" if kind in SHARED else ""
            options = {
                f"选项{letter}": f"{group or kind + str(number)}的备选答案{word}"
                for letter, word in zip("ABCDE", "甲乙丙丁戊", strict=True)
            }
            case = f"病例{group}:男,45岁,反复上腹痛2年。" if kind in ("A3", "A4") else ""
            cells = {
                "题型": kind,
                "组号": group,
                "共用题干": case,
                "题干": f"{kind}型第{number + 1}题,最可能的是",
                "答案": "AC" if kind == "X" else "A",
            }
            sheet.writerow(
                cells
                | options
                | {"解析": "见教材", "科目": "公共知识", "执业类别": category, "难度": "中", "用途": "考试"}
            )
    return buffer.getvalue().encode()
