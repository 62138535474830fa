"""The filled-in filing as a form to be printed and signed by the doctor (代填)."""

import base64

from dingkao import clock
from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
)
from dingkao.errors import NotFound
from dingkao.filings import presentation
from dingkao.filings.assistance import STATEMENT
from dingkao.filings.dossier import Dossier
from dingkao.filings.filing_documents import photo_content
from dingkao.integrations.pdf import rendering
from dingkao.people.organisations import find_organisation
from dingkao.tenants import settings


def render_filing_form(dossier: Dossier) -> bytes:
    """Returns the form as PDF, with the revision that is signed on every page; the certificate numbers in
    full, because the doctor has to check them. Raises NotFound if nothing is filed, TooLarge, InvalidInput,
    Unavailable."""
    if dossier.filing is None:
        raise NotFound("还没有填报内容。")
    doctor, institution = (
        dossier.doctor,
        find_organisation(dossier.record.institution_id),
    )
    return rendering.render_pdf_sandboxed(
        "filing_form",
        name=doctor.name,
        cycle=dossier.cycle.label,
        facts=[
            ("姓名", doctor.name),
            (
                DOCUMENT_TYPES[doctor.document_type],
                doctor.number_masked,
            ),
            (
                "级别 · 类别",
                f"{LEVELS[doctor.level]} · {CATEGORIES[doctor.category]}",
            ),
            (
                "主要执业机构",
                institution.name if institution else "",
            ),
        ],
        photo=_photo_uri(dossier),
        sections=presentation.display_sections(dossier, revealed=True),
        notice=settings.value("user_notice"),
        statement=STATEMENT,
        revision=dossier.filing.revision,
        printed_at=f"{clock.to_beijing(clock.now()):%Y年%m月%d日 %H:%M}",
    )


def _photo_uri(dossier: Dossier) -> str | None:
    """Returns the filed photo as a data URI; None if there is none, or its file is missing. Raises
    Unavailable."""
    try:
        content = photo_content(dossier.filing) if dossier.filing else None
    except NotFound:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}" if content else None
