"""Fills a province for a demonstration. Idempotent: what exists is left unchanged. All persons are
invented."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

import pyotp
from sqlalchemy import select
from stdnum.cn import ric

from dingkao import clock
from dingkao.articles import editing
from dingkao.articles.models import Article
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.cycles.cycles import current_cycle, open_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.demonstration.sample_chart import draw_chart
from dingkao.demonstration.sample_records import (
    cached_password_hash,
    create_records,
)
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.doctors.roster_columns import COLUMN_HEADINGS
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people import accounts, departments, organisations, passwords
from dingkao.people.department_models import Department
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.provinces import open_province
from dingkao.question_banks import question_pictures
from dingkao.question_banks.importing.file_import import (
    import_questions,
)
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import Province

PASSWORD = "yanshi-dingkao-2026"  # noqa: S105 - printed for everyone to use; protects no one's data
BANK_NAME, INSTITUTION_CONTACT = "演示题库", "000-00000000"
OFFICE_CONTACTS = (
    "医务科 000-00001234",
    "医务部 000-00002345",
    "办公室 000-00003456",
)
NEWS_ARTICLES = (
    ("{year}年度医师定期考核工作通知（演示）", True, (
        "各有关单位、各位医师：\n\n本年度医师定期考核工作已经开始，现将有关事项通知如下。\n\n## 一、参加人员\n\n"
        "已注册并在本省医疗、预防、保健机构执业的执业医师和执业助理医师，由主要执业机构确定后纳入。\n\n## 二、时间安排\n\n"
        "报名、审核、考核、完成四个阶段的日期，登录后在主页的“考核进度”里查看。\n\n## 三、注意事项\n\n"
        "1. 填报后务必**提交**，只保存不提交，机构无法审核；\n2. 一般程序的医师通过审核后参加测评；\n3. 如有疑问，请先查看“百问百答”，再联系本机构。\n\n"
        "（本通知为演示内容。）"
    )),
    ("关于测评期间使用手机的提示（演示）", False, (
        "测评在手机上进行，请提前充好电，连接稳定的网络。\n\n- 断网时可以继续作答，恢复后自动发送；\n- 到时系统自动交卷；\n"
        "- 请勿把准考证号告诉他人。\n\n（本通知为演示内容。）"
    )),
)  # fmt: skip
DOCTOR_COUNT = 24
DEPARTMENT, LIAISON = "门诊部", "department_liaison"
STAFF = (
    ("admin", "省级管理员", "province_admin", ""),
    ("admin2", "省级管理员二", "province_admin", ""),
    ("jigou-jingban", "机构经办人", "institution_clerk", "hospital"),
    ("jigou-shenhe", "机构审核人", "institution_reviewer", "hospital"),
    ("keshi-lianluo", "科室联络员", LIAISON, "hospital"),
    ("renshi", "人事经办人", "personnel_officer", "hospital"),
    ("dangban", "党办经办人", "ethics_officer", "hospital"),
    ("jikong-jingban", "疾控经办人", "institution_clerk", "centre"),
    ("kaohe-jingban", "考核机构经办人", "organisation_clerk", "hospital"),
    ("kaohe-fuhe", "考核机构复核人", "organisation_reviewer", "hospital"),
    ("tiku", "题库编辑", "question_editor", ""),
    ("shenji", "审计员", "auditor", ""),
)
"""User name, name, role, and where it is held: the first institution, the last, or "", the province's
office."""
USER_NAME_BY_SIDE = {
    "institution": "jigou-shenhe",
    "organisation": "kaohe-fuhe",
    "admin": "admin",
    "admin2": "admin2",
}
CITIES = {
    14: (
        ("长治市", "140400"),
        ("太原市", "140100"),
        ("晋中市", "140700"),
    ),
    41: (
        ("郑州市", "410100"),
        ("洛阳市", "410300"),
        ("南阳市", "411300"),
    ),
}
INSTITUTION_KINDS = ("人民医院", "口腔医院", "疾病预防控制中心")
SCOPES = {
    "clinical": ("内科", "外科", "儿科"),
    "dental": ("口腔",),
    "public_health": ("公共卫生",),
    "chinese": ("中医", "中西医结合"),
}
SURNAMES = "钱赵孙李周吴郑王冯陈褚卫"
GIVEN_NAME_CHARACTERS = "庆逸文华雅静建国丽娟志远明慧春梅晓东玉兰"


PHASE_DAYS = {
    "filing": (60, 45),
    "review": (50, 60),
    "examination": (30, 90),
    "completion": (10, 120),
}
"""Phase → days since its first day, days until its last day. All phases are open, so that each can be
tried."""


@dataclass(frozen=True)
class DemonstrationAccount:
    """An account of a demonstration with everything needed to sign in. `role`: whose it is, in words; `code`:
    the current TOTP code, "" without a second factor. `mobile`: the number that gets the code of the first
    sign-in ("" if there is none: then the institution issues a one-time code)."""

    role: str
    user_name: str
    password: str
    code: str
    mobile: str = ""


def seed_province(province: Province) -> None:
    """Fill `province`, which must be the current one; the caller commits. At once, whatever the caller does,
    the province is opened on the platform, and pictures go into the object store. Doctors in sample states
    are created only if there is no cycle yet; what else is missing is added. Rows that the roster's import
    refuses are left out."""
    open_province(province, by=SYSTEM_ACTOR)
    if not settings.value("contact"):
        settings.change("contact", INSTITUTION_CONTACT, by=None, reason="演示")
    _seed_staff(_seed_institutions(province))
    _seed_articles()
    _seed_bank()
    headings = [names[0] for names in COLUMN_HEADINGS.values()]
    roster = xlsx_writer.write_xlsx(headings, _seed_roster(province))
    import_roster(roster, by=SYSTEM_ACTOR)
    if db.session.scalar(select(Cycle.id).limit(1)) is None:
        staff = {side: _actor(user_name) for side, user_name in USER_NAME_BY_SIDE.items()}
        create_records(_seed_cycle(), staff, PASSWORD)


def _seed_bank() -> None:
    """Create the question bank: also questions with markup (`marked`: tables, formulas, a picture), and
    questions of the editor that wait for a second person (`waiting`)."""
    picture = question_pictures.save_picture(draw_chart(), by=SYSTEM_ACTOR)
    for name in (
        "common",
        "clinical",
        "dental",
        "public_health",
        "chinese",
        "marked",
        "waiting",
    ):
        content = (
            (files("dingkao.demonstration") / "bank" / f"{name}.csv")
            .read_bytes()
            .replace("(图:病例数)".encode(), f"(图:{picture})".encode())
        )
        import_questions(
            content,
            bank_name=BANK_NAME,
            by=_actor("tiku") if name == "waiting" else SYSTEM_ACTOR,
        )


def list_accounts(province: Province) -> list[DemonstrationAccount]:
    """Returns the accounts of the demonstration in `province`, which must be the current one."""
    return _list_staff_accounts() + _list_doctor_accounts()


def _list_staff_accounts() -> list[DemonstrationAccount]:
    """Returns all active accounts of staff in the province, by user name, with the demonstration's password,
    even if somebody has changed it."""
    query = select(Account).where(Account.kind == "staff", Account.state == "active")
    return [
        DemonstrationAccount(
            account.name,
            account.user_name or "",
            PASSWORD,
            _second_factor_code(account),
        )
        for account in db.session.scalars(query.order_by(Account.user_name))
    ]


def _second_factor_code(account: Account) -> str:
    """Returns the account's current TOTP code, or ""."""
    secret = _decrypt(account, "account", "second_factor")
    return pyotp.TOTP(secret).now() if secret else ""


def _list_doctor_accounts() -> list[DemonstrationAccount]:
    """Returns the accounts of the first DOCTOR_COUNT doctors in the current cycle, which are the
    demonstration's."""
    cycle = current_cycle()
    query = (
        select(Doctor, Account, Assessment.state)
        .join(
            Account,
            (Account.tenant_id == Doctor.tenant_id) & (Account.id == Doctor.account_id),
        )
        .join(
            Assessment,
            (Assessment.tenant_id == Doctor.tenant_id) & (Assessment.doctor_id == Doctor.id),
        )
        .where(Assessment.cycle_id == (cycle.id if cycle else None))
        .order_by(Doctor.id)
        .limit(DOCTOR_COUNT)
    )
    return [_doctor_account(doctor, account, state) for doctor, account, state in db.session.execute(query)]


def _doctor_account(doctor: Doctor, account: Account, state: str) -> DemonstrationAccount:
    """Returns a doctor's account with its password: the initial one until the first sign-in, then the
    demonstration's, even if the doctor has changed it."""
    is_unopened = account.state == "initial"
    return DemonstrationAccount(
        f"医师 {doctor.name} {ASSESSMENT_STATES[state]}",
        document_number_of(doctor),
        passwords.INITIAL_PASSWORD if is_unopened else PASSWORD,
        "",
        _decrypt(doctor, "doctor", "mobile") if is_unopened else "",
    )


def _decrypt(owner: Account | Doctor, table: str, name: str) -> str:
    """Returns the decrypted value of the column `<name>_sealed` of `owner`, or ""."""
    encrypted = getattr(owner, f"{name}_sealed")
    return current_vault().decrypt(SecretLocation(table, name, owner.id), encrypted) if encrypted else ""


def _seed_institutions(province: Province) -> list[Organisation]:
    """Create the institutions that are missing; the first one assesses all that nobody assesses yet. Returns
    all."""
    institutions = [
        _seed_institution(province, serial, *names)
        for serial, names in enumerate(
            zip(CITIES[province.code], INSTITUTION_KINDS, strict=True),
            1,
        )
    ]
    organisations.appoint_assessor(institutions[0], by=SYSTEM_ACTOR)
    for institution in institutions:
        if institution.assessment_organisation_id is None:
            organisations.assign_assessor(institution, institutions[0], by=SYSTEM_ACTOR)
    return institutions


def _seed_institution(
    province: Province,
    serial: int,
    city: tuple[str, str],
    kind: str,
) -> Organisation:
    """Create the institution number `serial` in a city, with its contact, if it does not exist; returns it.
    `city`: name and code of its division."""
    city_name, division = city
    number = f"YS{province.code}{serial:06d}"
    institution = db.session.scalar(select(Organisation).where(Organisation.registration_number == number))
    if institution is None:
        entry = organisations.InstitutionValues(f"{city_name}{kind}（演示）", number, division, "医疗机构")
        institution = organisations.add_institution(entry, by=SYSTEM_ACTOR)
    if institution.contact is None:
        organisations.set_contact(institution, OFFICE_CONTACTS[serial - 1], by=SYSTEM_ACTOR)
    return institution


def _seed_articles() -> None:
    """Publish two news articles and the default answers, if there are no articles yet."""
    if db.session.scalar(select(Article.id).limit(1)) is not None:
        return
    for title, pinned, body in NEWS_ARTICLES:
        values = {
            "title": title.format(year=clock.today().year),
            "body": body,
            "pinned": pinned,
        }
        draft = editing.create_draft("news", values, by=SYSTEM_ACTOR)
        editing.publish(draft, by=SYSTEM_ACTOR)
    editing.create_default_drafts(by=SYSTEM_ACTOR)
    for article in db.session.scalars(select(Article).where(Article.kind == "faq")):
        editing.publish(article, by=SYSTEM_ACTOR)


def _seed_staff(institutions: list[Organisation]) -> None:
    """Create the accounts of staff that are missing, with their roles: the institution's reviewer at every
    institution, the administrators with mobile number and second factor."""
    hospital, centre = institutions[0], institutions[-1]
    departments.add_departments([(hospital.id, DEPARTMENT)], by=SYSTEM_ACTOR)
    places = {"": None, "hospital": hospital, "centre": centre}
    for user_name, name, role, place in STAFF:
        department = departments.resolve_department(hospital, DEPARTMENT) if role == LIAISON else None
        account = _seed_account(user_name, name, role, places[place], department)
        if role == "institution_reviewer":
            for institution in institutions:
                accounts.give_role(account, role, institution, by=SYSTEM_ACTOR)
        if role == "province_admin":
            _set_up_administrator(account, user_name)


def _seed_account(
    user_name: str,
    name: str,
    role: str,
    organisation: Organisation | None,
    department: Department | None,
) -> Account:
    """Returns the account of the staff with that user name, which is created with the role if it does not
    exist, and opened with the demonstration's password if it never was."""
    account = db.session.scalar(
        select(Account).where(Account.login_index == accounts.staff_login_index(user_name))
    )
    if account is None:
        account = accounts.create_staff(
            user_name, name, [(role, organisation)], by=SYSTEM_ACTOR, department=department
        )
    if account.state == "initial":
        account.password_hash, account.state = (
            cached_password_hash(PASSWORD),
            "active",
        )
    return account


def _set_up_administrator(account: Account, user_name: str) -> None:
    """Give an administrator a mobile number and a second factor, where they are missing."""
    if account.mobile_index is None:
        number = f"1990000{current_tenant():02d}9{len(user_name) - len('admin')}"
        accounts.bind_mobile(account, number, administrator=True)
    if account.second_factor_sealed is None:
        account.second_factor_sealed = current_vault().encrypt(
            SecretLocation("account", "second_factor", account.id),
            pyotp.random_base32(),
        )


def _seed_roster(province: Province) -> list[list[str]]:
    """Returns the rows of a roster of invented doctors, the same each time."""
    chance = random.Random(province.code)  # noqa: S311 - for names, not for secrets
    doctors = [_roster_cells(province, serial, chance) for serial in range(DOCTOR_COUNT)]
    return [[cells.get(name, "") for name in COLUMN_HEADINGS] for cells in doctors]


def _roster_cells(province: Province, serial: int, chance: random.Random) -> dict[str, str]:
    """Returns one invented doctor, our name of a roster column → text."""
    category = list(CATEGORIES)[serial % 4]
    sex = chance.choice("男女")
    birth = date(1958, 1, 1) + timedelta(days=chance.randrange(12_000))
    body = f"{province.code}0101{birth:%Y%m%d}{serial * 2 + (sex == '男'):03d}"
    return {
        "name": chance.choice(SURNAMES)
        + chance.choice(GIVEN_NAME_CHARACTERS)
        + chance.choice(GIVEN_NAME_CHARACTERS),
        "sex": sex,
        "document_type": "居民身份证",
        "number": body + ric.calc_check_digit(body + "0"),
        "ethnicity": "汉族",
        "education": "本科",
        "level": list(LEVELS.values())[serial % 5 == 4],
        "category": CATEGORIES[category],
        "scope": chance.choice(SCOPES[category]),
        "registration_number": f"YS{province.code}{serial % 3 + 1:06d}",
        "title": "主治医师",
        "department": DEPARTMENT,
        "mobile": f"1990000{province.code:02d}{serial:02d}" if serial % 6 else "",
        "first_registered": f"{birth.year + 27}-07-01",
    }


def _seed_cycle() -> Cycle:
    """Create a cycle in which all phases are open, with a record for every doctor."""
    today = clock.today()
    year = timedelta(days=365)
    days = {
        kind: (
            today - timedelta(days=before),
            today + timedelta(days=after),
        )
        for kind, (before, after) in PHASE_DAYS.items()
    }
    cycle = open_cycle(
        f"{today.year}年度考核（演示）",
        today - year * 2,
        today + year,
        days,
        by=SYSTEM_ACTOR,
    )
    enrol(cycle)
    db.session.flush()
    return cycle


def _actor(user_name: str) -> Actor:
    """Returns the staff member with that user name as an actor."""
    account = db.session.scalars(
        select(Account).where(Account.login_index == accounts.staff_login_index(user_name))
    ).one()
    memberships = db.session.scalars(select(Membership).where(Membership.account_id == account.id)).all()
    return Actor(
        "staff",
        account.id,
        frozenset(membership.role for membership in memberships),
        memberships[0].organisation_id,
        account.name,
    )
