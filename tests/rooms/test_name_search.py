"""Finding people: by each form in which they are typed, whoever is meant and nobody else; the keys by which
they are found follow the names wherever these change."""

import pytest
from pypinyin import lazy_pinyin
from sqlalchemy import delete, select

from dingkao.assessments import people_search
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import Assessment
from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import new_serial
from dingkao.database.base import db, new_id
from dingkao.database.listing.definitions import ListViewer
from dingkao.database.listing.list_pages import fetch_list_page
from dingkao.database.listing.list_states import ListState
from dingkao.doctors import corrections, search_backfill
from dingkao.doctors.models import Doctor, DoctorSearchKey
from dingkao.doctors.name_search import search_condition
from dingkao.doctors.search_indexing import reindex_search_keys, search_key_rows
from dingkao.doctors.search_keys import fold_pinyin, search_keys
from dingkao.doctors.single_entry import add_doctor
from dingkao.errors import InvalidInput
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import accounts
from dingkao.people.institution_imports import import_institutions
from dingkao.people.institution_list import INSTITUTION_LIST
from dingkao.people.models import Organisation, OrganisationFormerName, OrganisationSearchKey
from dingkao.people.organisation_search import (
    organisation_key_rows,
    search_organisation_ids,
    search_organisations,
)
from dingkao.people.organisations import InstitutionValues, add_institution, resolve_organisation
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from dingkao.people.staff_list import STAFF_LIST
from tests import actors, sample_data
from tests.statement_counter import counted_statements

CODE = 22
NAMES = (
    "曾国藩", "单雄信", "解晓东", "仇英", "查良镛", "区志明", "盖叫天", "王伟", "王伟东", "张王伟", "汪卫", "王小伟",
    "阿卜杜拉·买买提", "欧阳小明", "John Smith", "𠮷野家", "王伟", "万俟卨", "吕绿", "丁大成丁大", "陈玉丽", "车女月",
)  # fmt: skip


@pytest.fixture
def people(jilin):
    """Doctors with NAMES, at the first institution but for the second 王伟; by serial."""
    rows = [
        sample_data.roster_row(
            CODE, serial, at=2 if serial == 16 else 1, 姓名=name, 科室=f"{name[0]}内科一区"
        )
        for serial, name in enumerate(NAMES)
    ]
    assert actors.put_on_roster(*rows).accepted == len(NAMES)
    return NAMES


def matched(text, grant=WHOLE_PROVINCE):
    """The names that a list shows for a text, sorted."""
    query = select(Doctor.name).where(search_condition(text, grant))
    return sorted(db.session.scalars(query))


def shown(text, grant=WHOLE_PROVINCE):
    """What the page of the search shows: form → names in their order."""
    groups = people_search.search_people(text, grant)
    return {group.form.code: [person.doctor.name for person in group.people] for group in groups}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("曾国藩", ["曾国藩"]),
        ("国藩", ["曾国藩"]),
        ("zengguofan", ["曾国藩"]),
        ("CengGuo", ["曾国藩"]),
        ("Zēng Guó-fān", ["曾国藩"]),
        ("cgf", ["曾国藩"]),
        ("zg", ["曾国藩"]),
        ("shanxiong", ["单雄信"]),
        ("danxiong", ["单雄信"]),
        ("xiexiaodong", ["解晓东"]),
        ("jiexiaodong", ["解晓东"]),
        ("qiuying", ["仇英"]),
        ("zhaliang", ["查良镛"]),
        ("ouzhiming", ["区志明"]),
        ("gejiao", ["盖叫天"]),
        ("moqi", ["万俟卨"]),
        ("lv", ["吕绿"]),
        ("lü lü", ["吕绿"]),
        ("lyulyu", ["吕绿"]),
        ("chenyuli", ["陈玉丽"]),
        ("chenyu", ["车女月", "陈玉丽"]),
        ("che nü", ["车女月"]),
        ("王伟", ["张王伟", "王伟", "王伟", "王伟东"]),
        ("王", ["王伟", "王伟", "王伟东", "王小伟"]),
        ("王伟东", ["王伟东"]),
        ("ww", ["汪卫", "王伟", "王伟", "王伟东"]),
        ("wxw", ["王小伟"]),
        ("阿卜杜拉买买提", ["阿卜杜拉·买买提"]),
        ("拉•买", ["阿卜杜拉·买买提"]),
        ("买.买提", ["阿卜杜拉·买买提"]),
        ("欧阳小", ["欧阳小明"]),
        ("阳小明", ["欧阳小明"]),
        ("小王", []),
        ("丁大成", ["丁大成丁大"]),
        ("成丁大成", []),
        ("smith", ["John Smith"]),
        ("JOHN SMITH", ["John Smith"]),
        ("ohn Sm", ["John Smith"]),
        ("𠮷野", ["𠮷野家"]),
        ("⺩伟", ["张王伟", "王伟", "王伟", "王伟东"]),
        ("王\ufe00伟\u3000东", ["王伟东"]),
        ("王内科", ["王伟", "王伟", "王伟东", "王小伟"]),
        ("王内科一区", ["王伟", "王伟", "王伟东", "王小伟"]),
        ("科一区", []),
    ],
)
def test_whoever_is_meant_is_found_and_nobody_else(people, text, names):
    assert matched(text) == names
    assert sorted({name for found in shown(text).values() for name in found}) == sorted(set(names))


def test_the_exact_name_comes_first_and_each_doctor_once(people):
    assert shown("王伟") == {"name": ["王伟", "王伟", "王伟东", "张王伟"]}
    assert shown("w") == {"pinyin": ["万俟卨", "汪卫", "王伟", "王伟", "王伟东", "王小伟"]}
    assert shown("乐") == {}


def test_three_characters_find_names_of_just_these_and_those_that_contain_them(jilin):
    names = ("米兰花", "米·兰花", "小米兰花", "米兰", "Ann", "Joanna", "王建国", "王建国庆")
    actors.put_on_roster(
        *(sample_data.roster_row(CODE, serial, 姓名=name) for serial, name in enumerate(names))
    )
    for text in ("米兰花", "米·兰花"):
        assert matched(text) == ["小米兰花", "米·兰花", "米兰花"], text
        assert shown(text)["name"][0] == text
    assert matched("ann") == matched("ANN") == ["Ann", "Joanna"]
    assert shown("王建国") == {"name": ["王建国", "王建国庆"]}
    assert matched("王建国庆") == ["王建国庆"]
    assert matched("建国王") == []


def test_a_character_read_in_two_ways_counts_once_in_a_list_of_initials(jilin):
    actors.put_on_roster(sample_data.roster_row(CODE, 1, 姓名="曾乐乐"))
    assert {"pzenglele", "pcengyueyue", "izll", "icyy", "s曾", "g曾乐", "g乐乐"} <= search_keys(
        "曾乐乐", None
    )
    assert shown("z") == {"pinyin": ["曾乐乐"]}


def test_syllables_typed_in_a_row_stay_what_they_are():
    """Of all syllables that a character has, after each way in which one ends: «chen yu» is no «che nü»."""
    syllables = {syllable for syllable in lazy_pinyin(map(chr, range(0x4E00, 0xA000))) if syllable.isalpha()}
    assert len(syllables) > 350
    texts = {
        first + second for first in ("chen", "wang", "li", "hua", "zhao", "e", "er") for second in syllables
    }
    assert {text for text in texts if text.isascii() and text not in fold_pinyin(text)} == set()


def test_numbers_find_their_doctor(people):
    number = sample_data.roster_row(CODE, 3)["证件号码"]
    assert shown(number) == shown(f" {number[:6]} {number[6:].lower()}") == {"number": ["仇英"]}
    assert "仇英" in shown(number[-4:])["number"]
    assert matched(number) == ["仇英"]
    assert matched(number[:-1]) == []
    cycle = actors.get_or_open_cycle()
    enrol(cycle)
    record = db.session.scalars(
        select(Assessment).join(Doctor, Doctor.id == Assessment.doctor_id).where(Doctor.name == "盖叫天")
    ).one()
    ticket = get_or_issue_ticket(record).number
    serial = new_serial(CODE, 2026)
    db.session.add(
        Certificate(
            assessment_id=record.id,
            serial=serial,
            content_sealed=b"",
            holder_masked="盖**",
            cycle_label="2026",
            issued_on=cycle.ends_on,
        )
    )
    db.session.flush()
    assert shown(ticket) == {"ticket": ["盖叫天"]}
    assert shown(serial.lower()) == {"certificate": ["盖叫天"]}
    assert matched(ticket) == matched(serial) == ["盖叫天"]
    assert matched(ticket[:-1] + "x") == []
    [group] = people_search.search_people(ticket, WHOLE_PROVINCE)
    assert group.people[0].record is record


def test_an_institution_finds_its_doctors(people):
    assert shown("第2人民") == {"institution": ["王伟"]}
    assert shown(sample_data.registration_number(CODE, 2)) == {"institution": ["王伟"]}
    assert matched("22省第2") == ["王伟"]
    names = [institution.name for institution in search_organisations("人民医院", 2)]
    assert names == ["22省第1人民医院", "22省第2人民医院"]
    assert search_organisations("人民院", 2) == search_organisations("", 2) == []
    assert resolve_organisation("2人民").name == "22省第2人民医院"
    with pytest.raises(InvalidInput, match="有多家机构符合"):
        resolve_organisation("人民医院")


def test_any_part_of_an_institutions_name_is_one_range_of_keys(jilin):
    add_institution(
        InstitutionValues("汪清县汪清镇卫生院", "PDY22WQ", "220100", "医疗机构"), by=TERMINAL_ACTOR
    )
    statements = []
    with counted_statements(statements):
        for text in ("汪清", "清县", "清镇", "生院", "汪清县汪清镇卫生院"):
            names = [institution.name for institution in search_organisations(text, 2)]
            assert names == ["汪清县汪清镇卫生院"], text
        assert len(statements) == 9  # by the beginning and, unless it is the whole name, by an ending
    assert search_organisations("汪镇", 2) == search_organisations("院", 2) == []


def test_doctors_of_an_institution_take_one_statement_to_find_it(people):
    first, second = db.session.scalars(
        select(Organisation.id)
        .where(Organisation.name.startswith("22省第"))
        .order_by(Organisation.name)
        .limit(2)
    )
    statements = []
    with counted_statements(statements):
        for text in ("人民医院", "第2人民", "22省第2人民医院", sample_data.registration_number(CODE, 2)):
            ids = search_organisation_ids(text, 2, lambda column: column != first)
            assert ids[0] == second, text
    assert len(statements) == 7  # a number is looked for where the text has a digit
    assert search_organisation_ids("22省第", 1, lambda column: column != second) == [first]
    assert search_organisation_ids(" ", 2, lambda column: column != first) == []


def test_staff_are_found_by_the_beginning_of_their_name_alone(jilin):
    for number, name in enumerate(("王一", "王二", "小王")):
        accounts.create_staff(
            f"clerk{number}",
            name,
            [("province_admin", None)],
            mobile=f"1390000000{number}",
            by=TERMINAL_ACTOR,
        )
    viewer = ListViewer(WHOLE_PROVINCE, None)
    for text, names in (
        ("王", ["王一", "王二"]),
        ("王二", ["王二"]),
        ("二", []),
        ("%", []),
        ("clerk2", ["小王"]),
    ):
        page = fetch_list_page(ListState(STAFF_LIST, search=text), viewer)
        assert [cells["name"] for cells in page.cells] == names, text


def test_a_former_name_takes_no_other_institutions_place(people):
    renamed = "机构名称,机构登记号,行政区划代码\n22省第1人民医院院部,PDY2200000001,220100\n"
    assert import_institutions(renamed.encode(), by=TERMINAL_ACTOR).changed == 1
    for text in ("22省第", "人民医院"):
        names = [institution.name for institution in search_organisations(text, 2)]
        assert names == ["22省第1人民医院院部", "22省第2人民医院"], text


def listed_institutions(text):
    """The names on the list of institutions that is searched for a text."""
    viewer = ListViewer(WHOLE_PROVINCE, None)
    return [
        cells["name"] for cells in fetch_list_page(ListState(INSTITUTION_LIST, search=text), viewer).cells
    ]


def test_of_many_institutions_a_list_takes_all(jilin, monkeypatch):
    names = [f"22省第{number}人民医院" for number in (1, 2, 3)]
    for most in (300, 2):
        monkeypatch.setattr("dingkao.people.organisation_search.MAX_LISTED", most)
        for text in ("人民医", "22省", "2"):
            assert listed_institutions(text) == names
        assert listed_institutions("省民") == listed_institutions("\x00") == []


def test_a_list_takes_the_doctors_of_all_institutions_that_are_meant(jilin, monkeypatch):
    monkeypatch.setattr("dingkao.doctors.name_search.MAX_INSTITUTIONS", 1)
    rows = [sample_data.roster_row(CODE, serial, at=serial, 姓名=f"王{serial}") for serial in (1, 2, 3)]
    assert actors.put_on_roster(*rows).accepted == 3
    first = db.session.scalars(select(Doctor).where(Doctor.name == "王1")).one()
    for most in (300, 2):
        monkeypatch.setattr("dingkao.people.organisation_search.MAX_LISTED", most)
        monkeypatch.setattr("dingkao.doctors.name_search.MAX_LISTED", most)
        assert len(matched("人民医院")) == 3
        assert matched("人民医院", Grant(institution_ids=(first.organisation_id,))) == ["王1"]


def test_one_finds_only_whom_one_reaches(people):
    second = db.session.scalars(
        select(Organisation).where(
            Organisation.registration_number == sample_data.registration_number(CODE, 2)
        )
    ).one()
    clerk = Grant(institution_ids=(second.id,))
    assert shown("王", clerk) == {"name": ["王伟"]}
    for text in ("王", "王伟", "wangwei", "ww", "w", "王内科", "第2人民"):
        assert {name for names in shown(text, clerk).values() for name in names} == {"王伟"}, text
    for text in ("曾国藩", "zgf", sample_data.roster_row(CODE, 3)["证件号码"], "第1人民", "曾内科"):
        assert shown(text, clerk) == {}, text
    assert shown("王", Grant()) == {}
    assert shown("王", Grant(assessor_ids=(second.id,))) == {}
    enrol(actors.get_or_open_cycle())
    record = db.session.scalars(select(Assessment).where(Assessment.institution_id == second.id)).one()
    record.assessor_id = second.id
    db.session.flush()
    assert shown("王", Grant(assessor_ids=(second.id,))) == {"name": ["王伟"]}


@pytest.mark.parametrize(
    "text",
    ["%", "_", "%%%", "王%", "王_", "\\", "'", "\x00", "王\x00", "😀", "😀😀😀", "\ud800", "\u200b", "*", "(", "·", "王" * 300,
     "a" * 300, "9" * 300, "王" * 100, "ab" * 50, "1", "-", "---", "/////5", "\U0010ffff", "\u202e王伟\u202c"],
)  # fmt: skip
def test_absurd_texts_are_answered_calmly(people, text):
    expected = {"王", "王\x00"}
    assert bool(shown(text)) == (text in expected or "伟" in text)
    assert bool(matched(text)) == (text in expected or "伟" in text)


def test_an_organisations_doctors_are_looked_for_among_the_first_that_the_province_has(jilin, monkeypatch):
    monkeypatch.setattr(people_search, "MAX_LOOKED_AT", 3)
    monkeypatch.setattr(people_search, "FIRST_LOOKED_AT", 2)
    actors.put_on_roster(
        *(sample_data.roster_row(CODE, serial, 姓名=f"王{'乙甲丁丙戊己'[serial]}") for serial in range(6))
    )
    enrol(actors.get_or_open_cycle())
    query = select(Assessment).join(
        Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id)
    )
    assessor = Grant(assessor_ids=(db.session.scalars(select(Organisation.id)).first(),))
    for record in db.session.scalars(query.where(Doctor.name.in_(("王丁", "王甲")))):
        record.assessor_id = assessor.assessor_ids[0]
    db.session.flush()
    [group] = people_search.search_people("王", assessor)
    assert ([person.doctor.name for person in group.people], group.has_more) == (["王丁"], True)
    monkeypatch.setattr(people_search, "MAX_LOOKED_AT", 7)
    [group] = people_search.search_people("王", assessor)
    assert ([person.doctor.name for person in group.people], group.has_more) == (["王丁", "王甲"], False)


def test_of_many_a_page_shows_the_first_and_a_list_takes_all(jilin, monkeypatch):
    monkeypatch.setattr(people_search, "MAX_SHOWN", 3)
    monkeypatch.setattr("dingkao.doctors.name_search.MAX_LISTED", 4)
    actors.put_on_roster(
        *(sample_data.roster_row(CODE, serial, 姓名=f"王{'乙甲丁丙戊己'[serial]}") for serial in range(6))
    )
    [group] = people_search.search_people("王", WHOLE_PROVINCE)
    assert ([person.doctor.name for person in group.people], group.has_more) == (
        ["王丙", "王丁", "王己"],
        True,
    )
    assert len(matched("王")) == len(matched("w")) == 6


def stored_doctor_keys():
    return set(map(tuple, db.session.execute(select(*DoctorSearchKey.__table__.columns))))


def stored_organisation_keys():
    return set(map(tuple, db.session.execute(select(*OrganisationSearchKey.__table__.columns))))


def keys_of_names():
    """The rows that the names of all doctors and organisations, former ones too, ask for."""
    columns = (
        Doctor.tenant_id,
        Doctor.id,
        Doctor.name,
        Doctor.name_key,
        Doctor.department,
        Doctor.organisation_id,
    )
    doctors = db.session.execute(select(*columns)).mappings()
    organisations = db.session.execute(
        select(Organisation.id, Organisation.name).union_all(
            select(OrganisationFormerName.organisation_id, OrganisationFormerName.name)
        )
    )
    return (
        set().union(*(search_key_rows(doctor) for doctor in doctors)),
        set().union(*(organisation_key_rows(*organisation) for organisation in organisations)),
    )


def assert_keys_equal_names():
    doctor_keys, organisation_keys = keys_of_names()
    assert stored_doctor_keys() == doctor_keys
    assert stored_organisation_keys() == organisation_keys


def test_the_keys_are_those_of_the_names_whoever_wrote_these(people):
    assert_keys_equal_names()
    actors.put_on_roster(sample_data.roster_row(CODE, 0, 姓名="曾国荃", 科室="外科"))
    assert matched("曾国荃") == matched("外科") == ["曾国荃"]
    assert matched("曾国藩") == matched("曾内科") == []
    assert_keys_equal_names()
    new_row = sample_data.roster_row(CODE, 90)
    add_doctor(
        {
            "name": "查理",
            "document_type": "居民身份证",
            "number": new_row["证件号码"],
            "registration_number": new_row["机构登记号"],
            "level": "执业医师",
            "category": "临床",
            "department": "急诊科",
        },
        by=TERMINAL_ACTOR,
    )
    assert matched("急诊") == ["查理"]
    assert_keys_equal_names()
    doctor = db.session.scalars(select(Doctor).where(Doctor.name == "查理").with_for_update()).one()
    corrections.apply_correction(
        doctor,
        {"name": "查礼", "institution": sample_data.registration_number(CODE, 3)},
        by=TERMINAL_ACTOR,
    )
    assert matched("查礼") == matched("第3人民") == ["查礼"]
    assert_keys_equal_names()
    add_institution(InstitutionValues("协和医院", "PDY22XH", "220100", "医疗机构"), by=TERMINAL_ACTOR)
    renamed = "机构名称,机构登记号,行政区划代码\n22省第1中心医院,PDY2200000001,220100\n"
    assert import_institutions(renamed.encode(), by=TERMINAL_ACTOR).changed == 1
    assert [institution.name for institution in search_organisations("中心医", 5)] == ["22省第1中心医院"]
    assert_keys_equal_names()


def run_backfill():
    """All chunks of the job."""
    cursor, done_count = {}, 0
    while cursor is not None:
        chunk = search_backfill.index_batch(None, cursor)
        cursor, done_count = chunk.cursor, done_count + chunk.done
    return done_count


def test_names_from_before_are_given_keys_by_a_job(people, monkeypatch):
    monkeypatch.setattr(search_backfill, "BATCH_SIZE", 4)
    enqueued = []
    monkeypatch.setattr(search_backfill.enqueueing, "enqueue", lambda name, *_, **__: enqueued.append(name))
    search_backfill.enqueue_indexing_if_needed()
    assert enqueued == []
    oldest = db.session.scalars(select(Doctor.id).order_by(Doctor.id).limit(1)).one()
    for model, owner_column in ((DoctorSearchKey, DoctorSearchKey.doctor_id),):
        db.session.execute(delete(model).where(owner_column == oldest))
    search_backfill.enqueue_indexing_if_needed()
    assert enqueued == ["index_names"]
    db.session.execute(delete(DoctorSearchKey))
    db.session.execute(delete(OrganisationSearchKey))
    db.session.execute(
        DoctorSearchKey.__table__.insert().values(
            tenant_id=CODE, key="s旧", name_key="jiu 旧", doctor_id=oldest, organisation_id=new_id()
        )
    )
    assert run_backfill() == len(NAMES) + 3
    assert_keys_equal_names()
    assert reindex_search_keys(db.session.flush) == (len(NAMES), 0)
