"""Names that look the same are one; characters that can't be printed are told before anything is printed."""

import unicodedata

import pypdfium2
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.certificates import certificate_rendering
from dingkao.database.base import db
from dingkao.doctors import corrections
from dingkao.doctors.code_lists import SCOPES
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.integrations.pdf import fonts, rendering
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import import_institutions
from dingkao.people.names import is_same_name, legacy_code_characters, normalise_name
from dingkao.question_banks.importing import file_import
from dingkao.question_banks.models import QuestionBank
from dingkao.tenants.characters import _DOTS, _RADICALS, _VARIANTS, fold_lookalikes
from dingkao.tenants.encryption import current_vault, normalise_text

RADICALS = [
    chr(code)
    for code in (*range(0x2E81, 0x2EF4), *range(0x2F00, 0x2FD6))
    if fold_lookalikes(chr(code)) != chr(code)
]
HAN = "李王张刘陈杨马立山阿依古丽买提"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("马⽴⼭", "马立山"),
        ("⻢⽴⼭", "马立山"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽‧买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("阿依古丽 · 买买提", "阿依古丽·买买提"),
        ("李\ufe0f四", "李四"),
        ("李\U000e0100四", "李四"),
        ("孙\ue863", "孙䶮"),
        (" 医　师 乙 ", "医师乙"),
        ("Ａnna  Schmidt", "Anna Schmidt"),
        ("J. R. Smith", "J. R. Smith"),
        ("张\u200b三", "张三"),
        ("贾○", "贾〇"),
        ("金\uf9e1", "金李"),
        ("𠮷䶮", "𠮷䶮"),
        ("周\U00031350", "周\U00031350"),
        ("", ""),
    ],
)
def test_a_name_is_kept_in_one_form(typed, name):
    assert normalise_name(typed) == name
    assert is_same_name(typed, name)


LOOKALIKES = {fold_lookalikes(radical): radical for radical in reversed(RADICALS)}


@given(
    st.lists(st.text(HAN + "".join(LOOKALIKES), min_size=1, max_size=3), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_any_name_typed_with_look_alikes_is_the_same_name(parts, chance):
    name = "·".join(parts)

    def disguised(character):
        if character == "·":
            return chance.choice([*_DOTS, "·", " · ", "．"])
        return (LOOKALIKES.get(character, character) if chance.random() < 0.7 else character) + chance.choice(
            ["", "", chr(chance.choice(_VARIANTS)), "\u200b"]
        )

    typed_name = "".join(disguised(character) for character in name)
    assert normalise_name(typed_name) == normalise_name(name)
    assert is_same_name(typed_name, name)
    assert normalise_text(normalise_name(typed_name)) == normalise_text(name)


@given(st.text(max_size=30))
def test_what_is_kept_stays_so(text):
    assert normalise_name(normalise_name(text)) == normalise_name(text)
    assert fold_lookalikes(fold_lookalikes(text)) == fold_lookalikes(text)


def test_every_radical_is_an_ideograph_of_its_own():
    assert len(_RADICALS) == 0x2EF4 - 0x2E80
    for radical in RADICALS:
        assert unicodedata.name(fold_lookalikes(radical)).startswith("CJK UNIFIED"), hex(ord(radical))


def test_old_codes_are_named():
    assert (legacy_code_characters("孙\ue863"), legacy_code_characters("孙䶮")) == ("䶮", "")
    assert normalise_name("\ue815\ue816\ue864") == "厂𠂇龻"


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("张三", ""),
        ("周\U00031350三\U00031350", "\U00031350"),
        ("\U0002ebf0", "\U0002ebf0"),
        ("\ue000", "\ue000"),
        ("\U000f0000", "\U000f0000"),
        ("𠮷䶮·Anna", ""),
    ],
)
def test_what_no_typeface_has_is_known(text, boxes):
    assert unprintable_characters(text) == boxes


def test_where_typefaces_can_not_be_asked_for_nothing_is_claimed(monkeypatch):
    fonts._covered_ranges.cache_clear()
    fonts._is_printable.cache_clear()
    monkeypatch.setattr(fonts, "FC_LIST_COMMAND", ("/nowhere/fc-list",))
    assert unprintable_characters("张\U00031350\ue000") == "\ue000"
    fonts._covered_ranges.cache_clear()
    fonts._is_printable.cache_clear()


def test_a_typeface_of_boxes_prints_nothing():
    assert fonts._merge_ranges(
        fonts._parse_ranges(["Last Resort|0-10ffff", "Noto|41-5a 61", "Other|5b-60"])
    ) == ([0x41], [0x61])


# --- everywhere names are compared or looked for


@pytest.fixture
def hubei(in_province):
    with in_province("hubei"):
        yield


def test_the_sample_of_names_gives_what_is_right(in_province, samples):
    with in_province("shanxi"):
        import_institutions(
            "机构名称,机构登记号,行政区划代码\n某医院,YS14000001,140105\n".encode(), by=TERMINAL_ACTOR
        )
        content = (samples / "faults" / "roster-names-lookalike.xlsx").read_bytes()
        report = import_roster(content, by=TERMINAL_ACTOR)
        assert (report.accepted, report.errors) == (7, [])
        warnings = [(fault.row, fault.column, fault.reason) for fault in report.warnings]
        assert warnings == [
            (5, "姓名", "姓名中的“\U00031350”无法打印在结果通知书上"),
            (6, "姓名", "姓名中有旧编码的字，已改为“䶮”"),
        ]
        numbers = (
            "140105198705050011",
            "140105198705050038",
            "140105198705050054",
            "140105198705050070",
            "140105198705050097",
            "140105198705050118",
            "140105198705050134",
        )
        doctors = [
            db.session.scalars(
                select(Doctor).where(Doctor.number_index == current_vault().blind_index("number", number))
            ).one()
            for number in numbers
        ]
        assert [doctor.name for doctor in doctors] == [
            "马立山",
            "阿依古丽·买买提",
            "李四",
            "周\U00031350",
            "孙䶮",
            "马立山",
            "阿依古丽·买买提",
        ]
        roster = import_roster(content, by=TERMINAL_ACTOR)
        assert (roster.accepted, roster.changed, roster.unchanged) == (0, 0, 7)
        assert corrections.validate_changes(doctors[0], {"name": "马⽴⼭"}) == {}
        assert corrections.validate_changes(doctors[0], {"name": "⻢⽴⽔"}) == {"name": "马立水"}


def test_an_institutions_name_and_a_banks_name_are_found_however_they_are_typed(hubei):
    report = import_institutions(
        "机构名称,机构登记号,行政区划代码\n⼭⽔\U00031350医院,X1,420100\n".encode(), by=TERMINAL_ACTOR
    )
    assert [(fault.row, fault.reason) for fault in report.warnings] == [
        (2, "机构名称中的“\U00031350”无法打印在结果通知书上")
    ]
    head = ("题干", "选项A", "选项B", "答案")
    for bank in ("⼭水题库", "山水题库 "):
        file_import.import_questions(
            xlsx_writer.write_xlsx(head, [("问", "甲", "乙", "A")]), bank_name=bank, by=TERMINAL_ACTOR
        )
    assert (
        db.session.scalars(select(QuestionBank.name).where(QuestionBank.name.contains("题库")))
        .all()
        .count("山水题库")
        == 1
    )


# --- the certificate's page


PAGE_MM, SEAL_TOP_MM = 297, 219
FRAME_MM = (16, 194)


def drawn(**content):
    """The certificate's page with this content: where each piece of its text stands, in mm from the top
    left."""
    printed_values = {
        "name": "张三",
        "institution": "太原市第一人民医院",
        "scopes": ["11"],
        "foot": "本通知书加盖公章后生效",
    } | content
    pdf = rendering.render_pdf(
        "certificate",
        number="142026KH000000018",
        serial="142026KH000000018",
        name=printed_values["name"],
        sex="男",
        sex_english="Male",
        id_number="140105198801011234",
        qualification="201014110140105198801011234",
        practice="110140105000123",
        category="中医",
        category_english="Traditional Chinese Medicine",
        scopes="、".join(SCOPES[code][1] for code in printed_values["scopes"]),
        scopes_english="; ".join(
            certificate_rendering.SCOPES_ENGLISH[code] for code in printed_values["scopes"]
        ),
        institution=printed_values["institution"],
        issuer="山西省卫生健康委员会",
        photo=None,
        seal=segno.make("x").svg_data_uri(),
        sample=False,
        foot=printed_values["foot"],
        closeness=certificate_rendering._line_spacing(printed_values),
        address="x",
        qr=segno.make("https://dingkao.example/verify/142026KH000000018", error="m").svg_data_uri(
            scale=4, border=1
        ),
        day="2026年03月01日",
        day_english="March 1, 2026",
        cycle="2024年01月-2026年12月",
        cycle_english="September 2024 to December 2026",
    )
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    page = document[0]
    text, height = page.get_textpage(), page.get_height()
    return text.get_text_range(), [
        _mm(text.get_charbox(index), height) for index in range(text.count_chars())
    ]


def _mm(box, height):
    left, bottom, right, top = (value / 72 * 25.4 for value in box)
    return left, height / 72 * 25.4 - top, right, height / 72 * 25.4 - bottom


def boxes_of(words, text, boxes):
    start = text.index(words)
    return boxes[start : start + len(words)]


@pytest.mark.parametrize("foot", ["说明" * 98, "W" * 196])
def test_the_foot_never_stands_over_the_serial_or_the_frame(foot):
    text, boxes = drawn(foot=f"始{foot}末")
    serial = text.rindex("142026KH")
    caption = max(box[3] for box in [*boxes_of("扫码查验", text, boxes), *boxes[serial : serial + 8]])
    below = [
        boxes[index] for index in range(text.index("始"), text.rindex("末") + 1) if not text[index].isspace()
    ]
    assert len(below) >= len(foot)
    assert min(top for _, top, _, _ in below) > caption
    assert max(bottom for _, _, _, bottom in below) < PAGE_MM - 16
    assert (
        min(left for left, *_ in below) > FRAME_MM[0],
        max(right for _, _, right, _ in below) < FRAME_MM[1],
    ) == (True, True)


CODES = list(certificate_rendering.SCOPES_ENGLISH)


@pytest.mark.parametrize(
    ("name", "institution", "scopes"),
    [("阿" * 15, "院" * 72, 1), ("阿" * 50, "院" * 96, 4), ("W" * 50, "W" * 100, 25)],
)
def test_long_names_never_come_to_lie_under_seal_and_qr(name, institution, scopes):
    text, boxes = drawn(name=name, institution=institution, scopes=CODES[:scopes])
    assert max(bottom for _, _, _, bottom in boxes_of("completion", text, boxes)) < SEAL_TOP_MM - 5
