"""Institutions: in from a sheet by the thousand, each under the right health authority; and what the terminal
answers to a wrong call."""

import csv
import io
import json
import os

import pytest
from click.testing import CliRunner
from sqlalchemy import event, select

from dingkao.cli import context, main
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import COLUMNS, import_institutions
from dingkao.people.models import Organisation
from dingkao.people.organisations import InstitutionValues, add_institution, set_contact
from dingkao.tenants.divisions import UnknownDivision, division_code, health_authority
from dingkao.tenants.registry import by_slug
from tests import sample_data

HEADINGS = ("机构名称", "机构登记号", "行政区划代码", "机构类别")
SOUND = ("郑州市人民医院", "PDY1", "410100", "医疗机构")


@pytest.fixture
def henan(in_province):
    """河南, within a transaction that is undone."""
    with in_province("henan"):
        yield


def take_in(*rows, headings=HEADINGS):
    return import_institutions(xlsx_writer.write_xlsx(headings, rows), by=TERMINAL_ACTOR)


def outcome(report):
    return (
        report.accepted,
        report.changed,
        report.unchanged,
        [(fault.row, fault.column) for fault in report.errors],
    )


def stored(number):
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("410100", "410100"),
        ("４１０１００", "410100"),
        ("410 100", "410100"),
        ("'410100", "410100"),
        ("410100.0", "410100"),
        ("410105001", "410105"),
        ("410100000000", "410100"),
        ("410100 郑州市", "410100"),
        ("410100郑州市", "410100"),
        ("4101", "410100"),
        ("郑州市", "410100"),
        ("河南省郑州市", "410100"),
        ("济源市", "419001"),
        ("41\u200b0100", "410100"),
    ],
)
def test_a_division_is_understood_as_people_write_it(text, code):
    assert division_code(by_slug("henan"), text) == code


@pytest.mark.parametrize("text", ["", "41", "41010", "4101000", "140100", "太原市", "郑州", "无"])
def test_what_is_no_division_of_the_province_is_refused(text):
    with pytest.raises(UnknownDivision):
        division_code(by_slug("henan"), text)


def test_a_name_of_two_divisions_is_none():
    with pytest.raises(UnknownDivision):
        division_code(by_slug("hebei"), "桥西区")


@pytest.mark.parametrize(
    ("slug", "division", "authority"),
    [
        ("henan", "410100", "郑州市卫生健康委员会"),
        ("henan", "410105", "金水区卫生健康局"),
        ("henan", "410000", "河南省卫生健康委员会"),
        ("henan", "419001", "济源市卫生健康局"),
        ("henan", "419000", "河南省卫生健康委员会"),
        ("henan", "419999", "河南省卫生健康委员会"),
        ("hainan", "469099", "海南省卫生健康委员会"),
        ("xinjiang", "659099", "新疆维吾尔自治区卫生健康委员会"),
        ("bingtuan", "659099", "新疆生产建设兵团卫生健康委员会"),
        ("beijing", "110100", "北京市卫生健康委员会"),
    ],
)
def test_the_health_authority_is_one_that_there_is(slug, division, authority):
    assert health_authority(by_slug(slug), division) == authority


def test_institutions_go_in_and_again_are_no_news(henan):
    institution_rows = [SOUND, ("b", "PDY2", "４１０１０５", ""), (" c\n医院 ", "pdy 3", "郑州市", "疾控")]
    assert outcome(take_in(*institution_rows)) == (3, 0, 0, [])
    assert outcome(take_in(*institution_rows)) == (0, 0, 3, [])
    third = stored("PDY3")
    assert (third.name, third.division, third.category, third.health_authority) == (
        "c 医院",
        "410100",
        "疾控",
        "郑州市卫生健康委员会",
    )
    assert stored("PDY2").category == "医疗机构"


def test_a_changed_institution_is_changed(henan):
    take_in(("甲", "PDY1", "410100", "疾控"))
    assert outcome(take_in(("乙", "PDY1", "410105", ""))) == (0, 1, 0, [])
    db.session.flush()
    assert (stored("PDY1").name, stored("PDY1").health_authority, stored("PDY1").category) == (
        "乙",
        "金水区卫生健康局",
        "疾控",
    )
    assert outcome(take_in(("乙", "PDY1", "410105", "医疗机构"))) == (0, 1, 0, [])


def test_faulty_rows_are_told_and_the_others_go_in(henan):
    institution_rows = [
        SOUND,
        ("", "PDY2", "410100"),
        ("c", "", "410100"),
        ("d", "PDY4", "140100"),
        ("e", "pdy1", "410100"),
        ("f" * 101, "PDY6", "410100"),
        ("g", "P" * 51, "410100"),
        ("h", 1.23456789012345678e18, "410100"),
        ("i", "PDY9", "410100", "x" * 51),
        ("合计", "", "", ""),
        ("制表人\uff1a李四", "", "", ""),
        ("j", "PDY10", "410100"),
    ]
    report = take_in(*institution_rows)
    names = dict(zip("nrdc", HEADINGS, strict=True))
    expected = [(3, "n"), (4, "r"), (5, "d"), (6, "r"), (7, "n"), (8, "r"), (9, "r"), (10, "c")]
    assert outcome(report) == (2, 0, 0, [(row_number, names[column]) for row_number, column in expected])
    assert all(fault.reason and fault.remedy for fault in report.errors)


def test_a_column_that_is_not_read_is_told(henan):
    report = take_in((*SOUND, "李四"), headings=(*HEADINGS, "联系人"))
    assert [(fault.row, fault.column) for fault in report.warnings] == [(1, "联系人")]


def test_thousands_go_in_by_the_batch(henan):
    statements, engine = [], db.session.get_bind()

    def count(*arguments):
        statements.append(arguments[2])

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    writer.writerows((f"第{serial}医院", f"PDY41{serial:06d}", "410100", "") for serial in range(3000))
    event.listen(engine, "before_cursor_execute", count)
    try:
        assert import_institutions(text.getvalue().encode(), by=TERMINAL_ACTOR).accepted == 3000
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert len(statements) < 60


def test_one_institution_by_a_form_is_held_to_the_same_rules(henan):
    institution = add_institution(InstitutionValues(" 郑州 医院 ", " pdy 7", "郑州市", ""), by=TERMINAL_ACTOR)
    assert (
        institution.name,
        institution.registration_number,
        institution.division,
        institution.category,
    ) == (
        "郑州 医院",
        "PDY7",
        "410100",
        "医疗机构",
    )
    with pytest.raises(InvalidInput):
        add_institution(InstitutionValues("x" * 101, "PDY8", "410100", ""), by=TERMINAL_ACTOR)


def test_the_sample_goes_in_whole(in_province, samples):
    with in_province("shanxi"):
        report = import_institutions((samples / "institutions-14.csv").read_bytes(), by=TERMINAL_ACTOR)
        assert outcome(report) == (21, 0, 0, [])
        assert report.warnings == []


@pytest.fixture
def terminal(stack, monkeypatch):
    """`dingkao`, on the session's stack: its status, stdout and stderr."""
    monkeypatch.setattr(context, "settings", lambda: AppConfig.from_environment(stack.environment))

    def run(*arguments):
        result = CliRunner().invoke(main, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return run


def imports(file):
    return [
        (noun, "import", "{slug}", file, *options)
        for noun in ("institutions", "roster", "questions")
        for options in ((), ("--json",))
    ]


@pytest.mark.parametrize("command", imports("{file}"))
def test_nothing_is_imported_into_a_province_that_is_not_open(terminal, tmp_path, command):
    file = tmp_path / "a.csv"
    file.write_bytes(sample_data.institutions_csv(62))
    status, stdout, stderr = terminal(*(part.format(slug="bingtuan", file=file) for part in command))
    assert (status, stdout) == (1, "")
    assert "尚未开通" in stderr


@pytest.mark.parametrize("command", imports("{file}"))
def test_a_wrong_call_is_no_refused_row(terminal, tmp_path, command):
    file = tmp_path / "a.csv"
    file.write_bytes(b"x")
    for slug, path in (("nowhere", file), ("shanxi", tmp_path / "none.csv")):
        status, stdout, stderr = terminal(*(part.format(slug=slug, file=path) for part in command))
        assert (status, stdout) == (os.EX_USAGE, "")
        assert stderr
    assert terminal("roster", "import")[0] == os.EX_USAGE


def test_the_terminal_tells_as_one_object_or_in_sentences(terminal, provinces, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(f"{','.join(HEADINGS)},联系人\n,PDYX1,140100,,李四\n", encoding="utf-8")
    status, stdout, _ = terminal("institutions", "import", "shanxi", str(file), "--json")
    payload = json.loads(stdout)
    assert (status, payload["refused"], payload["errors"][0]["row"], payload["warnings"][0]["column"]) == (
        2,
        1,
        2,
        "联系人",
    )
    status, stdout, _ = terminal("institutions", "import", "shanxi", str(file))
    assert status == 2
    assert "第2行 机构名称" in stdout
    assert "提醒 第1行 联系人" in stdout


def test_the_headings_of_institutions_are_official_first():
    assert [names[0] for names in COLUMNS.values()] == [*HEADINGS, "联系电话"]


def test_a_contact_is_taken_in_kept_where_none_is_given_and_refused_without_a_number(henan):
    wider = (*HEADINGS, "联系电话")
    assert outcome(take_in((*SOUND, "医务科  0371-6600001"), headings=wider)) == (1, 0, 0, [])
    assert stored("PDY1").contact == "医务科 0371-6600001"
    assert outcome(take_in(SOUND)) == (0, 0, 1, [])
    assert stored("PDY1").contact == "医务科 0371-6600001"
    assert outcome(take_in((*SOUND, "找李科长"), headings=wider)) == (0, 0, 0, [(2, "联系电话")])
    for text in ("", "0371-6600002"):
        set_contact(stored("PDY1"), text, by=TERMINAL_ACTOR)
        assert stored("PDY1").contact == (text or None)
    for text in ("医务科", "1" * 61):
        with pytest.raises(InvalidInput) as raised:
            set_contact(stored("PDY1"), text, by=TERMINAL_ACTOR)
        assert raised.value.field == "contact"
