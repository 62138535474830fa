"""Doubts (疑点) about a filing, which no batch decides on: each is planted in a dossier that has none."""

from datetime import date

import pytest

from dingkao.assessments.conduct_grades import APPRAISAL, ETHICS, FAILING_GRADES, ConductFacts
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import new_id
from dingkao.doctors.certificate_numbers import identity_mismatch
from dingkao.doctors.models import Doctor
from dingkao.filings.dossier import Dossier
from dingkao.filings.doubts import doubts_of
from dingkao.filings.models import Filing
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import sample_data

SLUG, CODE = "hainan", 46
NUMBER = sample_data.resident_number(7, sex="男", area="460105")
OTHER_NUMBER = sample_data.resident_number(9, sex="男", area="460105")
QUALIFICATION = f"200346110{NUMBER}"


def sealed(table, name, row_id, number):
    return current_vault().encrypt(SecretLocation(table, name, row_id), number)


def sound_dossier(*, document_type="resident", number=NUMBER):
    """A dossier without doubts, in memory."""
    doctor_id, cycle_id, filing_id = new_id(), new_id(), new_id()
    doctor = Doctor(
        id=doctor_id, name="钱甲", sex="male", birth_date=date(1980, 1, 2), document_type=document_type,
        number_sealed=sealed("doctor", "number", doctor_id, number), level="physician", category="clinical",
        qualification_sealed=sealed("doctor", "qualification", doctor_id, QUALIFICATION),
        practice_sealed=sealed("doctor", "practice", doctor_id, "110460400012345"),
        first_registered=date(2005, 3, 1),
    )  # fmt: skip
    filing = Filing(
        id=filing_id, doctor_id=doctor_id, cycle_id=cycle_id, experience={},
        basic={"saved": True, "graduated": "2003-07", "working_since": "2003-08"},
        practice={"saved": True, "qualified": "2004-12-01", "registered": "2005-03-01", "titled": "2010-01"},
        performance={"direct_fail": "no", "bad_record": "no", "quantity": "pass"},
        procedure={"procedure": "general"},
        qualification_sealed=sealed("filing", "qualification", filing_id, QUALIFICATION),
        practice_sealed=sealed("filing", "practice", filing_id, "110460400012345"),
    )  # fmt: skip
    cycle = Cycle(id=cycle_id, starts_on=date(2024, 1, 1), ends_on=date(2026, 12, 31), years=3)
    record = Assessment(id=new_id(), doctor_id=doctor_id, cycle_id=cycle_id, procedure="general")
    return Dossier(record, doctor, cycle, filing)


def number_of(dossier, name, number):
    filing = dossier.filing
    setattr(filing, f"{name}_sealed", sealed("filing", name, filing.id, number))


def values_of(dossier, step, **values):
    setattr(dossier.filing, step, getattr(dossier.filing, step) | values)


def choose_simple(dossier, **practice):
    dossier.record.procedure = "simple"
    values_of(dossier, "procedure", procedure="simple", ground="clean")
    values_of(dossier, "practice", **practice)


PLANTED = {
    "another's number": (
        lambda dossier: number_of(dossier, "qualification", f"200346110{OTHER_NUMBER}"),
        "2.qualification", "资格证书编码中的证件号与本人证件号码不一致。",
    ),
    "unlike the roster": (
        lambda dossier: number_of(dossier, "practice", "110460400099999"),
        "2.practice", "执业证书编码与名单中的不一致。",
    ),
    "another level": (
        lambda dossier: number_of(dossier, "practice", "210460400012345"),
        "2.practice", "执业证书编码的第1位与医师级别不一致，请核对。",
    ),
    "qualified too late": (
        lambda dossier: values_of(dossier, "practice", qualified="2006-01-01"),
        "2.qualified", "资格证书取得时间晚于首次注册时间。",
    ),
    "graduated while working": (
        lambda dossier: values_of(dossier, "basic", graduated="2004-07"), "1.graduated", "毕业时间晚于参加工作时间",
    ),
    "a case of direct failure": (
        lambda dossier: values_of(dossier, "performance", direct_fail="yes"),
        "4.direct_fail", "申报有直接认定为不合格的情形。",
    ),
    "a bad record": (
        lambda dossier: values_of(dossier, "performance", bad_record="yes"),
        "4.bad_record", "申报有不良执业行为记录。",
    ),
    "work not done": (
        lambda dossier: values_of(dossier, "performance", quantity="fail"),
        "4.quantity", "自评“完成工作数量”为不合格。",
    ),
    "a condition not met": (
        lambda dossier: choose_simple(dossier, registered="2020-03-01"),
        "5.ground", "选择简易程序，但不符合所选适用条件。",
    ),
    "registered on another day": (
        lambda dossier: choose_simple(dossier, registered="2004-03-01"),
        "2.registered", "首次注册时间与名单中的2005年03月01日不一致。",
    ),
}  # fmt: skip
"""What is planted: how, the key of the doubt, and how its sentence begins."""


def test_a_sound_dossier_has_no_doubts(in_province):
    with in_province(SLUG):
        assert doubts_of(sound_dossier()) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_each_planted_doubt_is_found(in_province, planted):
    plant, key, sentence = PLANTED[planted]
    with in_province(SLUG):
        dossier = sound_dossier()
        plant(dossier)
        matching = [doubt for doubt in doubts_of(dossier) if doubt.key == key]
    assert any(doubt.message.startswith(sentence) for doubt in matching), planted


def test_what_was_imported_speaks_against_the_doctor_and_what_is_missing_is_named(in_province, monkeypatch):
    failing = ConductFacts({APPRAISAL.code: {2024: FAILING_GRADES[APPRAISAL.code]}}, {}, (2024, 2025))
    with in_province(SLUG):
        sentences = [doubt.message for doubt in doubts_of(sound_dossier(), failing)]
        assert "2024年度考核为不合格。" in sentences
        assert "本人填“合格”，2024年度考核为不合格。" in sentences
        value = settings.value
        monkeypatch.setattr(settings, "value", lambda name: name == f"requires_{ETHICS.code}" or value(name))
        missing = [doubt.message for doubt in doubts_of(sound_dossier(), ConductFacts(years=(2024, 2025)))]
    assert missing == ["缺2024、2025年度医德考评结果。"]


@pytest.mark.parametrize(
    ("birth_date", "sex", "sentence"),
    [
        (date(1980, 1, 2), "male", None),
        (date(1981, 1, 2), "male", "资格证书编码中证件号的出生日期与本人不一致"),
        (date(1980, 1, 2), "female", "资格证书编码中证件号的性别与本人不一致"),
        (None, None, None),
    ],
)
def test_with_another_document_birth_and_sex_are_compared(birth_date, sex, sentence):
    body = "46010519800102001"
    contained = body + sample_data.ric.calc_check_digit(body + "0")
    assert identity_mismatch(f"200346110{contained}", "C1234567", birth_date=birth_date, sex=sex) == sentence
