"""Certificates (考核结果通知书): issued once for a record that passed, drawn from what was sealed then, revoked with a reason."""

import base64
import json
from typing import Any
from uuid import UUID

import segno
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.assessments.moves import LONGEST_REASON
from dingkao.certificates import seals
from dingkao.certificates.models import Certificate
from dingkao.certificates.numbering import new_serial
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, SCOPES, SEXES
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.filings.dossier import filing_of, numbers_of
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.outside import paper
from dingkao.outside.storage import store
from dingkao.people.models import Organisation
from dingkao.results.models import PublicationEntry
from dingkao.settings import Settings
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.tenants.secrets import Place, vault

BATCH = 100
PDF, PNG = "certificate-pdf", "certificate-png"
SEXES_ENGLISH = {"male": "Male", "female": "Female"}
CATEGORIES_ENGLISH = {"clinical": "Clinical Medicine", "dental": "Stomatology", "public_health": "Public Health", "chinese": "Traditional Chinese Medicine"}
SCOPES_ENGLISH = {
    "11": "Internal Medicine", "12": "Surgery", "13": "Obstetrics and Gynecology", "14": "Pediatrics", "15": "Ophthalmology and Otorhinolaryngology",
    "16": "Dermatology and Venereology", "17": "Psychiatry", "18": "Occupational Medicine", "19": "Medical Imaging and Radiotherapy",
    "20": "Laboratory Medicine and Pathology", "21": "General Practice", "22": "Emergency Medicine", "23": "Rehabilitation Medicine",
    "24": "Preventive Health Care", "25": "Special and Military Medicine", "26": "Family Planning Services", "31": "Stomatology", "41": "Public Health",
    "51": "Traditional Chinese Medicine", "52": "Integrated Chinese and Western Medicine", "53": "Mongolian Medicine", "54": "Tibetan Medicine",
    "55": "Uygur Medicine", "56": "Dai Medicine", "99": "Other Specialties",
}  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")


def standing(record: Assessment) -> Certificate | None:
    """The record's certificate that stands."""
    return db.session.scalar(select(Certificate).where(Certificate.assessment_id == record.id, Certificate.state == "issued"))


def newest(record: Assessment) -> Certificate | None:
    """The record's certificate issued last, whether it stands or not."""
    return db.session.scalar(select(Certificate).where(Certificate.assessment_id == record.id).order_by(Certificate.id.desc()).limit(1))


def issue(record: Assessment) -> Certificate:
    """The certificate of a record that passed, held locked; issued already: the same again. What is printed is sealed now and never
    read anew. Raises NotAllowed for a record that hasn't passed."""
    existing = standing(record)
    if existing:
        return existing
    if record.state != "passed":
        raise NotAllowed("考核结果为合格并发布后,才能签发通知书。")
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    identity, serial, today = new_id(), _free_serial(cycle), clock.today()
    content = _content(record, doctor, cycle) | {"serial": serial, "issued_on": today.isoformat()}
    if settings.value("certificate_number_form") == "manual":
        content["printed_number"] = f"{content['number']}KH{today:%Y%m%d}"
    row = Certificate(
        id=identity, assessment_id=record.id, serial=serial, cycle_label=content["cycle"], issued_on=today, holder_masked=mask(doctor.name), state="issued",
        content_sealed=vault().seal(Place("certificate", "content", identity), json.dumps(content, ensure_ascii=False)), issued_at=clock.now(),
    )  # fmt: skip
    db.session.add(row)
    db.session.flush()
    journal.write("certificate", row.id, "issued", by=SYSTEM, serial=serial)
    return row


def _content(record: Assessment, doctor: Doctor, cycle: Cycle) -> dict[str, Any]:
    filing = filing_of(record)
    numbers = numbers_of(filing) if filing else {}
    scopes = (filing.practice.get("scope") if filing else None) or [code for code in (doctor.scope or "").split(",") if code]
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    province = by_code(current_tenant())
    return {
        "name": doctor.name, "sex": doctor.sex, "number": vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed),
        "qualification": numbers.get("qualification", ""), "practice": numbers.get("practice", ""), "category": doctor.category, "scopes": scopes,
        "institution": institution.name, "issuer": province.commission if province else "", "photo": str(filing.photo_id) if filing and filing.photo_id else None,
        "cycle": f"{cycle.starts_on.year}年{cycle.starts_on.month:02d}月-{cycle.ends_on.year}年{cycle.ends_on.month:02d}月",
        "since": cycle.starts_on.isoformat(), "until": cycle.ends_on.isoformat(), "foot": settings.value("certificate_foot"),
    }  # fmt: skip


def draw(certificate: Certificate) -> tuple[bytes, bytes]:
    """The certificate as PDF and PNG, from its sealed content; nothing is stored. Raises Unavailable."""
    content = json.loads(vault().unseal(Place("certificate", "content", certificate.id), certificate.content_sealed))
    photo = None
    if content["photo"]:
        try:
            photo = "data:image/jpeg;base64," + base64.b64encode(store().get("photo", UUID(content["photo"]))).decode()
        except NotFound:
            photo = None
    stamp = seals.seal()
    address = f"{Settings.in_force().public_url}/verify/{certificate.serial}"
    day, since, until = certificate.issued_on, content["since"], content["until"]
    page = paper.pdf(
        "certificate", number=content.get("printed_number", certificate.serial), serial=certificate.serial, name=content["name"],
        sex=SEXES.get(content["sex"], ""), sex_english=SEXES_ENGLISH.get(content["sex"], ""), id_number=content["number"],
        qualification=content["qualification"], practice=content["practice"], category=CATEGORIES[content["category"]],
        category_english=CATEGORIES_ENGLISH[content["category"]], scopes="、".join(SCOPES[code][1] for code in content["scopes"] if code in SCOPES),
        scopes_english="; ".join(SCOPES_ENGLISH[code] for code in content["scopes"] if code in SCOPES_ENGLISH), institution=content["institution"],
        issuer=content["issuer"], photo=photo, seal=stamp.data_uri(), sample=stamp.sample, foot=content["foot"], address=address,
        qr=segno.make(address, error="m").svg_data_uri(scale=4, border=1), day=f"{day.year}年{day.month:02d}月{day.day:02d}日",
        day_english=f"{MONTHS[day.month - 1]} {day.day}, {day.year}", cycle=content["cycle"], cycle_english=f"{_month(since)} to {_month(until)}",
    )  # fmt: skip
    return page, paper.png(page)


def keep(certificate: Certificate) -> None:
    """Draw it and put both files into the store, sealed; drawn before: drawn again, the same. Raises Unavailable."""
    page, picture = draw(certificate)
    store().put(PDF, certificate.id, page, "application/pdf", sealed=True)
    store().put(PNG, certificate.id, picture, "image/png", sealed=True)
    certificate.drawn_at = clock.now()


def revoke(certificate: Certificate, *, by: Actor, reason: str) -> None:
    """Revoke (撤销) a certificate, held locked, with a reason the public page doesn't show. Raises Invalid, NotAllowed."""
    if not reason.strip():
        raise Invalid("请填写撤销原因。", "reason")
    if len(reason.strip()) > LONGEST_REASON:
        raise Invalid(f"撤销原因请不要超过{LONGEST_REASON}字。", "reason")
    if certificate.state != "issued":
        raise NotAllowed("该通知书已撤销或已被替换。")
    certificate.state, certificate.state_reason = "revoked", reason.strip()
    journal.write("certificate", certificate.id, "revoked", by=by, before="issued", after="revoked", reason=reason.strip())


def reissue(record: Assessment, *, by: Actor, reason: str) -> Certificate | None:
    """Put a new certificate in the place of the one that stands, where one does, because what it prints was corrected (record held
    locked): the old one is 已替换 from now on, the new one has a serial of its own. None where none stands."""
    old = db.session.scalar(select(Certificate).where(Certificate.assessment_id == record.id, Certificate.state == "issued").with_for_update())
    if old is None:
        return None
    old.state, old.state_reason = "replaced", reason
    db.session.flush()
    journal.write("certificate", old.id, "replaced", by=by, before="issued", after="replaced", reason=reason)
    fresh = issue(record)
    ask_drawing(fresh, by=by)
    return fresh


def ask_issuing(record: Assessment, *, by: Actor) -> Job:
    """Ask for the certificate of one record that passed after the list was published."""
    return asking.ask("issue_one", "签发结果通知书", {"record": str(record.id)}, by=by.id)


@performing.job("issue_one")
def issue_one(job: Job, _progress: performing.Progress) -> None:
    """Issue and draw the certificate of one record; repeatable."""
    row = issue(db.session.scalars(select(Assessment).where(Assessment.id == UUID(job.arguments["record"])).with_for_update()).one())
    if row.drawn_at is None:
        keep(row)


def mask(name: str) -> str:
    """A name as strangers may see it: its first character and a star for each other."""
    return name[:1] + "*" * (len(name) - 1)


@performing.job("issue_certificates")
def issue_certificates(job: Job, progress: performing.Progress) -> dict[str, int]:
    """Issue and draw a certificate for each who passed in a publication; repeatable, what is there is left."""
    query = select(PublicationEntry.assessment_id).where(
        PublicationEntry.publication_id == UUID(job.arguments["publication"]), PublicationEntry.verdict == "passed"
    )
    ids = sorted(db.session.scalars(query))
    for start in range(0, len(ids), BATCH):
        for record in db.session.scalars(select(Assessment).where(Assessment.id.in_(ids[start : start + BATCH])).with_for_update()):
            issue(record)
        db.session.commit()
    drawn = 0
    for done, record_id in enumerate(ids, 1):
        row = db.session.scalar(select(Certificate).where(Certificate.assessment_id == record_id, Certificate.state == "issued"))
        if row and row.drawn_at is None:
            keep(row)
            db.session.commit()
            drawn += 1
        progress(done, len(ids))
    return {"issued": len(ids), "drawn": drawn}


@performing.job("draw_certificate")
def draw_certificate(job: Job, _progress: performing.Progress) -> None:
    """Draw one certificate anew, such as after its files were lost."""
    keep(db.session.scalars(select(Certificate).where(Certificate.id == UUID(job.arguments["certificate"]))).one())


def ask_drawing(certificate: Certificate, *, by: Actor) -> Job:
    """Ask for one certificate to be drawn anew."""
    return asking.ask("draw_certificate", "重新生成结果通知书", {"certificate": str(certificate.id)}, by=by.id)


def _free_serial(cycle: Cycle) -> str:
    while True:
        serial = new_serial(current_tenant() % 100, cycle.ends_on.year)
        if db.session.scalar(select(Certificate.id).where(Certificate.serial == serial)) is None:
            return serial


def _month(day: str) -> str:
    return f"{MONTHS[int(day[5:7]) - 1]} {day[:4]}"
