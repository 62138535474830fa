"""Draws a certificate as PDF and PNG from the encrypted content that was stored when it was issued."""

import base64
import json
from math import ceil
from typing import Any
from uuid import UUID

import segno

from dingkao import clock
from dingkao.certificates import official_seals
from dingkao.certificates.models import Certificate
from dingkao.config import AppConfig
from dingkao.doctors.code_lists import CATEGORIES, SCOPES, SEXES
from dingkao.errors import NotFound
from dingkao.integrations.pdf import rendering
from dingkao.integrations.storage import current_store
from dingkao.tenants.encryption import SecretLocation, current_vault

PDF_KIND, PNG_KIND = "certificate-pdf", "certificate-png"


SEXES_ENGLISH = {"male": "Male", "female": "Female"}


CATEGORIES_ENGLISH = {
    "clinical": "Clinical Medicine",
    "dental": "Stomatology",
    "public_health": "Public Health",
    "chinese": "Traditional Chinese Medicine",
}


SCOPES_ENGLISH = {
    "11": "Internal Medicine", "12": "Surgery", "13": "Obstetrics and Gynecology", "14": "Pediatrics", "15": "Ophthalmology and Otorhinolaryngology",
    "16": "Dermatology and Venereology", "17": "Psychiatry", "18": "Occupational Medicine", "19": "Medical Imaging and Radiotherapy",
    "20": "Laboratory Medicine and Pathology", "21": "General Practice", "22": "Emergency Medicine", "23": "Rehabilitation Medicine",
    "24": "Preventive Health Care", "25": "Special and Military Medicine", "26": "Family Planning Services", "31": "Stomatology", "41": "Public Health",
    "51": "Traditional Chinese Medicine", "52": "Integrated Chinese and Western Medicine", "53": "Mongolian Medicine", "54": "Tibetan Medicine",
    "55": "Uygur Medicine", "56": "Dai Medicine", "99": "Other Specialties",
}  # fmt: skip


MONTH_NAMES_ENGLISH = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def render(certificate: Certificate) -> tuple[bytes, bytes]:
    """Returns the certificate as PDF and PNG, from its stored content and with the province's present seal;
    stores nothing. A missing photo is left out. Raises Unavailable, NotFound if the seal's file is missing,
    and encryption.DecryptionFailed for altered content, photo or seal."""
    content = json.loads(
        current_vault().decrypt(
            SecretLocation("certificate", "content", certificate.id),
            certificate.content_sealed,
        ),
    )
    photo = None
    if content["photo"]:
        try:
            photo = (
                "data:image/jpeg;base64,"
                + base64.b64encode(current_store().get("photo", UUID(content["photo"]))).decode()
            )
        except NotFound:
            photo = None
    stamp = official_seals.current_seal()
    address = f"{AppConfig.current().public_url}/verify/{certificate.serial}"
    day = certificate.issued_on
    english_months = [_month_in_english(content[name]) for name in ("since", "until")]
    page = rendering.render_pdf(
        "certificate",
        number=content.get("printed_number", certificate.serial),
        serial=certificate.serial,
        name=content["name"],
        sex=SEXES.get(content["sex"], ""),
        sex_english=SEXES_ENGLISH.get(content["sex"], ""),
        id_number=content["number"],
        qualification=content["qualification"],
        practice=content["practice"],
        category=CATEGORIES[content["category"]],
        category_english=CATEGORIES_ENGLISH[content["category"]],
        scopes=_scopes_in_chinese(content),
        scopes_english=_scopes_in_english(content),
        institution=content["institution"],
        closeness=_line_spacing(content),
        issuer=content["issuer"],
        photo=photo,
        seal=stamp.data_uri(),
        sample=stamp.is_sample,
        foot=content["foot"],
        address=address,
        qr=segno.make(address, error="m").svg_data_uri(scale=4, border=1),
        day=f"{day:%Y年%m月%d日}",
        day_english=f"{MONTH_NAMES_ENGLISH[day.month - 1]} {day.day}, {day.year}",
        cycle=content["cycle"],
        cycle_english=" to ".join(english_months),
    )
    return page, rendering.first_page_png(page)


def printed_texts(content: dict[str, Any]) -> dict[str, str]:
    """Returns label → text of what a certificate with this content (see `issuing.certificate_content`) prints
    about its holder, for whoever checks it beforehand."""
    return {
        "姓名": content["name"],
        "性别": f"{SEXES.get(content['sex'], '')} {SEXES_ENGLISH.get(content['sex'], '')}".strip(),
        "证件号码": content["number"],
        "执业类别": f"{CATEGORIES[content['category']]} {CATEGORIES_ENGLISH[content['category']]}",
        "执业范围": f"{_scopes_in_chinese(content)} {_scopes_in_english(content)}".strip(),
        "资格证书编码": content["qualification"],
        "执业证书编码": content["practice"],
        "主要执业机构": content["institution"],
        "考核周期": content["cycle"],
        "发证机关": content["issuer"],
    }


def _line_spacing(content: dict[str, Any]) -> str:
    """Returns the CSS class for the certificate's line spacing ("", close, closest): the more lines its texts
    need, the closer, so that they end above seal and QR code."""
    measured_texts = (
        (content["name"], 15),
        (content["institution"], 24),
        (_scopes_in_chinese(content), 24),
        (_scopes_in_english(content), 31),
    )
    extra_lines = sum(ceil(_width_in_ideographs(text) / width) - 1 for text, width in measured_texts if text)
    if extra_lines <= 2:
        return ""
    return "close" if extra_lines <= 9 else "closest"


def _scopes_in_chinese(content: dict[str, Any]) -> str:
    """Returns the names of the scopes of practice, joined."""
    return "、".join(SCOPES[code][1] for code in content["scopes"] if code in SCOPES)


def _scopes_in_english(content: dict[str, Any]) -> str:
    """Returns the English names of the scopes of practice, joined."""
    return "; ".join(SCOPES_ENGLISH[code] for code in content["scopes"] if code in SCOPES_ENGLISH)


def _width_in_ideographs(text: str) -> float:
    """Returns the largest possible width of a text, in widths of a Chinese character."""
    return sum(0.75 if character.isascii() else 1 for character in text)


def render_and_store(certificate: Certificate) -> None:
    """Draw a certificate, store both files encrypted, which a rollback doesn't undo, and set `drawn_at`;
    valid or not. Drawing again replaces the files. Raises Unavailable, and what `render` raises."""
    page, picture = render(certificate)
    current_store().put(PDF_KIND, certificate.id, page)
    current_store().put(PNG_KIND, certificate.id, picture)
    certificate.drawn_at = clock.now()


def _month_in_english(day: str) -> str:
    """Returns month and year in English of an ISO date."""
    return f"{MONTH_NAMES_ENGLISH[int(day[5:7]) - 1]} {day[:4]}"
