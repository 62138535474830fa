"""Filling a province for a demonstration. Repeatable: what is there is left alone. Nobody in it exists."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

import pyotp
from sqlalchemy import select
from stdnum.cn import ric

from dingkao import clock
from dingkao.articles import writing
from dingkao.articles.models import Article
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import STATES, Assessment
from dingkao.cycles.models import PHASES, Cycle
from dingkao.cycles.opening import current_cycle, open_cycle
from dingkao.database.model import db
from dingkao.demonstration.charting import chart
from dingkao.demonstration.states import bring_about
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import COLUMNS, import_roster
from dingkao.exams import picturing
from dingkao.exams.importing import import_questions
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.outside import sheets
from dingkao.people import accounts, organisations, passwords
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.opening import open_province
from dingkao.tenants import settings
from dingkao.tenants.registry import Province
from dingkao.tenants.secrets import Place, vault

PASSWORD = "yanshi-dingkao-2026"  # noqa: S105 - printed for everyone to use; demonstration provinces hold no one's data
BANK, CONTACT = "演示题库", "000-00000000"
OFFICES = ("医务科 000-00001234", "医务部 000-00002345", "办公室 000-00003456")
NEWS = (
    ("{year}年度医师定期考核工作通知(演示)", True, (
        "各有关单位、各位医师:\n\n本年度医师定期考核工作已经开始,现将有关事项通知如下。\n\n## 一、参加人员\n\n"
        "已注册并在本省医疗、预防、保健机构执业的执业医师和执业助理医师,由主要执业机构确定后纳入。\n\n## 二、时间安排\n\n"
        "报名、审核、考核、完成四个阶段的日期,登录后在主页的“考核进度”里查看。\n\n## 三、注意事项\n\n"
        "1. 填报后务必**提交**,只保存不提交,机构无法审核;\n2. 一般程序的医师通过审核后参加测评;\n3. 如有疑问,请先查看“百问百答”,再联系本机构。\n\n"
        "(本通知为演示内容。)"
    )),
    ("关于测评期间使用手机的提示(演示)", False, (
        "测评在手机上进行,请提前充好电,连接稳定的网络。\n\n- 断网时可以继续作答,恢复后自动发送;\n- 到时系统自动交卷;\n"
        "- 请勿把准考证号告诉他人。\n\n(本通知为演示内容。)"
    )),
)  # fmt: skip
DOCTORS = 24
ACTORS = {"institution": "jigou-shenhe", "organisation": "kaohe-fuhe", "admin": "admin", "admin2": "admin2"}
CITIES = {14: (("长治市", "140400"), ("太原市", "140100"), ("晋中市", "140700")), 41: (("郑州市", "410100"), ("洛阳市", "410300"), ("南阳市", "411300"))}
SCOPES = {"clinical": ("内科", "外科", "儿科"), "dental": ("口腔",), "public_health": ("公共卫生",), "chinese": ("中医", "中西医结合")}
SURNAMES, GIVEN = "钱赵孙李周吴郑王冯陈褚卫", "庆逸文华雅静建国丽娟志远明慧春梅晓东玉兰"


@dataclass(frozen=True)
class DemonstrationAccount:
    """An account of a demonstration, with all one needs to sign in."""

    role: str
    user_name: str
    password: str
    code: str


def demonstrate(province: Province) -> None:
    """Fill `province`, which must have been entered."""
    open_province(province, by=SYSTEM)
    if not settings.value("contact"):
        settings.change("contact", CONTACT, by=None, reason="演示")
    _staff(_institutions(province))
    _articles()
    _bank()
    roster = sheets.write([names[0] for names in COLUMNS.values()], _roster(province))
    import_roster(roster, by=SYSTEM)
    if db.session.scalar(select(Cycle.id).limit(1)) is None:
        bring_about(_cycle(), {role: _actor(user_name) for role, user_name in ACTORS.items()}, PASSWORD)


def _bank() -> None:
    """The bank, with questions in marks (`marked`: tables, formulas, a picture) and, of the editor's, some that wait for a second person."""
    picture = picturing.keep(chart(), by=SYSTEM)
    for name in ("common", "clinical", "dental", "public_health", "chinese", "marked", "waiting"):
        content = (files("dingkao.demonstration") / "bank" / f"{name}.csv").read_bytes().replace("(图:病例数)".encode(), f"(图:{picture})".encode())
        import_questions(content, bank=BANK, by=_actor("tiku") if name == "waiting" else SYSTEM)


def accounts_of(province: Province) -> list[DemonstrationAccount]:
    """The accounts of the demonstration in `province`, each with its present code where it has a second factor."""
    found = []
    for row in db.session.scalars(select(Account).where(Account.kind == "staff", Account.state == "active").order_by(Account.user_name)):
        code = ""
        if row.second_factor_sealed:
            code = pyotp.TOTP(vault().unseal(Place("account", "second_factor", row.id), row.second_factor_sealed)).now()
        found.append(DemonstrationAccount(row.name, row.user_name or "", PASSWORD, code))
    theirs = select(Doctor, Account, Assessment.state).join(Account, (Account.tenant_id == Doctor.tenant_id) & (Account.id == Doctor.account_id))
    cycle = current_cycle()
    theirs = theirs.join(Assessment, (Assessment.tenant_id == Doctor.tenant_id) & (Assessment.doctor_id == Doctor.id))
    theirs = theirs.where(Assessment.cycle_id == (cycle.id if cycle else None))
    for doctor, account, state in db.session.execute(theirs.order_by(Doctor.id).limit(DOCTORS)):
        number = vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed)
        word = passwords.INITIAL if account.state == "initial" else PASSWORD
        found.append(DemonstrationAccount(f"医师 {doctor.name} {STATES[state]}", number, word, ""))
    return found


def _institutions(province: Province) -> list[Organisation]:
    rows, made = CITIES[province.code], []
    for serial, ((city, division), kind) in enumerate(zip(rows, ("人民医院", "口腔医院", "疾病预防控制中心"), strict=True), 1):
        number = f"YS{province.code}{serial:06d}"
        row = db.session.scalar(select(Organisation).where(Organisation.registration_number == number))
        if row is None:
            entry = organisations.InstitutionEntry(f"{city}{kind}(演示)", number, division, "医疗机构")
            row = organisations.add_institution(entry, by=SYSTEM)
        if row.contact is None:
            organisations.reach(row, OFFICES[serial - 1], by=SYSTEM)
        made.append(row)
    organisations.appoint(made[0], by=SYSTEM)
    for row in made:
        if row.assessment_organisation_id is None:
            organisations.assign(row, made[0], by=SYSTEM)
    return made


def _articles() -> None:
    """Two pieces of news, and the house's own answers, published."""
    if db.session.scalar(select(Article.id).limit(1)) is not None:
        return
    for title, pinned, body in NEWS:
        writing.publish(writing.write("news", {"title": title.format(year=clock.today().year), "body": body, "pinned": pinned}, by=SYSTEM), by=SYSTEM)
    writing.take_over(by=SYSTEM)
    for row in db.session.scalars(select(Article).where(Article.kind == "faq")):
        writing.publish(row, by=SYSTEM)


def _staff(institutions: list[Organisation]) -> None:
    hospital, centre = institutions[0], institutions[-1]
    wanted = {
        "admin": ("省级管理员", "province_admin", None), "admin2": ("省级管理员二", "province_admin", None),
        "jigou-jingban": ("机构经办人", "institution_clerk", hospital), "jigou-shenhe": ("机构审核人", "institution_reviewer", hospital),
        "jikong-jingban": ("疾控经办人", "institution_clerk", centre), "kaohe-jingban": ("考核机构经办人", "organisation_clerk", hospital),
        "kaohe-fuhe": ("考核机构复核人", "organisation_reviewer", hospital), "tiku": ("题库编辑", "question_editor", None),
        "shenji": ("审计员", "auditor", None),
    }  # fmt: skip
    for user_name, (name, role, organisation) in wanted.items():
        account = db.session.scalar(select(Account).where(Account.login_index == accounts.staff_login_index(user_name)))
        if account is None:
            account = accounts.make_staff(user_name, name, [(role, organisation)], by=SYSTEM)
        if account.state == "initial":
            account.password_hash, account.state = passwords.hashed(PASSWORD), "active"
        if role == "institution_reviewer":
            for place in institutions:
                accounts.give_role(account, role, place, by=SYSTEM)
        if role == "province_admin" and account.second_factor_sealed is None:
            account.second_factor_sealed = vault().seal(Place("account", "second_factor", account.id), pyotp.random_base32())


def _roster(province: Province) -> list[list[str]]:
    """Made-up doctors, the same each time."""
    chance, rows = random.Random(province.code), []  # noqa: S311 - for names, not for secrets
    for serial in range(DOCTORS):
        category = list(CATEGORIES)[serial % 4]
        sex = chance.choice("男女")
        birth = date(1958, 1, 1) + timedelta(days=chance.randrange(12_000))
        body = f"{province.code}0101{birth:%Y%m%d}{serial * 2 + (sex == '男'):03d}"
        cells = {
            "name": chance.choice(SURNAMES) + chance.choice(GIVEN) + chance.choice(GIVEN), "sex": sex, "document_type": "居民身份证",
            "number": body + ric.calc_check_digit(body + "0"), "ethnicity": "汉族", "education": "本科",
            "level": list(LEVELS.values())[serial % 5 == 4], "category": CATEGORIES[category], "scope": chance.choice(SCOPES[category]),
            "registration_number": f"YS{province.code}{serial % 3 + 1:06d}", "title": "主治医师", "department": "门诊部",
            "mobile": f"1990000{province.code:02d}{serial:02d}" if serial % 6 else "", "first_registered": f"{birth.year + 27}-07-01",
        }  # fmt: skip
        rows.append([cells.get(name, "") for name in COLUMNS])
    return rows


def _cycle() -> Cycle:
    today = clock.today()
    year = timedelta(days=365)
    whole = (today - timedelta(days=20), today + timedelta(days=120))
    cycle = open_cycle(f"{today.year}年度考核(演示)", today - year * 3, today + year, dict.fromkeys(PHASES, whole), by=SYSTEM)
    enrol(cycle)
    db.session.flush()
    return cycle


def _actor(user_name: str) -> Actor:
    account = db.session.scalars(select(Account).where(Account.login_index == accounts.staff_login_index(user_name))).one()
    held = db.session.scalars(select(Membership).where(Membership.account_id == account.id)).all()
    return Actor("staff", account.id, frozenset(one.role for one in held), held[0].organisation_id, account.name)
