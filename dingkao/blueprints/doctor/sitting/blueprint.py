"""The blueprint of the sitting's pages, and what several of them load."""

import secrets
from typing import Any, NoReturn
from uuid import UUID

from flask import current_app, g, session, url_for
from flask_login import current_user

from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.errors import NotFound
from dingkao.exams import answer_saving, sittings
from dingkao.exams.models.sitting_models import Sitting
from dingkao.web.known_devices import device_name
from dingkao.web.province_blueprint import province_blueprint

sitting = province_blueprint("sitting")


def current_record(*, for_update: bool = False) -> Assessment:
    """The current user's assessment, locked with `for_update`, for the pages of sittings, which load it with
    the doctor by one query; also sets `g.doctor`. Raises NotFound with the reason."""
    sitter = sittings.current_sitter(current_user.id, for_update=for_update)
    if sitter is None:
        raise NotFound(
            "本省尚未开始新的考核周期。" if current_cycle() is None else "您未被主要执业机构纳入本周期考核。"
        )
    record, g.doctor = sitter
    return record


def raise_sitting_not_found() -> NoReturn:
    """Raise NotFound, because a sitting isn't the user's own; with the reason if the user has no
    assessment."""
    current_record()
    raise NotFound


def get_sitting_for_update(
    sitting_id: UUID,
) -> tuple[Assessment, Sitting]:
    """The user's own assessment and sitting, both locked; also sets `g.doctor`. Raises NotFound."""
    record_doctor_sitting = sittings.find_sitting_for_update(sitting_id, current_user.id)
    if record_doctor_sitting is None:
        raise_sitting_not_found()
    record, g.doctor, own_sitting = record_doctor_sitting
    return record, own_sitting


def has_entered(record: Assessment) -> bool:
    """Whether name, ticket number and consent were entered rightly in this browser's session, for this
    assessment."""
    return session.get("entered") == str(record.id)


def new_device_name() -> str:
    """The name of this device: from its cookie, else the one that the session stored with an earlier sitting,
    else a new random one, which is stored nowhere (`remember_device_of`)."""
    return device_name() or (session.get("sitting") or {}).get("device") or secrets.token_hex(8)


def remember_device_of(own_sitting: Sitting, device: str) -> None:
    """Store in the session that the sitting is answered on this device."""
    session["sitting"] = {"id": str(own_sitting.id), "device": device}


def is_current_device(own_sitting: Any) -> bool:
    """Whether the sitting is being answered on this device: also after signing in again, and after it was
    handed in and reopened."""
    if own_sitting.device is None:
        return False
    in_session = {
        "id": str(own_sitting.id),
        "device": own_sitting.device,
    }
    return device_name() == own_sitting.device or session.get("sitting") == in_session


def save_token(own_sitting: Any) -> str:
    """The token with which a page may save answers to the sitting. It is valid for the sitting's present
    epoch, a counter that increases when another device continues or the sitting is handed in or reopened."""
    return answer_saving.make_token(own_sitting, str(current_app.secret_key))


def status_address(own_sitting: Any) -> str:
    """The URL at which a page requests the state of a sitting."""
    return url_for("sitting.status", sitting_id=own_sitting.id)
