"""Doctors of a demonstration who have asked for something: requests at each place of their way, brought there like anyone's."""

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.filings.dossier import Dossier
from dingkao.journal.writing import Actor
from dingkao.requests import deciding, making
from dingkao.requests.deciding import Desk
from dingkao.requests.models import Request

NOT_IN_TIME = "合格证书的日期不在本考核周期内,请核对。"


def ask(record: Assessment, state: str, staff: dict[str, Actor], proof: bytes) -> None:
    """What a doctor brought into `state` has asked for; of most states nothing. `staff` as for `bring_about`; `proof`: a picture to hand in."""
    match state:
        case "deferred":
            _agreed(_asked(record, "deferral", proof, reason="患病或住院治疗"), record, staff)
        case "exempted":
            _agreed(_asked(record, "exemption", proof, reason="residency"), record, staff)
        case "refused":
            row = _asked(record, "exemption", proof, reason="residency")
            deciding.refuse(row, record, _desk(record, "institution", staff), by=staff["institution"], opinion=NOT_IN_TIME)
        case "asking":
            _asked(record, "exemption", proof, reason="residency")
        case "organisation_pending":
            _changed(record, "change")
        case "scored":
            _changed(record, "correction", proof)


def _asked(record: Assessment, kind: str, proof: bytes, *, reason: str) -> Request:
    dossier, by = _of(record)
    row = making.begin(dossier, kind, by=by)
    making.keep_file(row, "证明材料.jpg", proof, by=by)
    making.fill(row, dossier, reason=reason, note="")
    making.submit(row, dossier, by=by)
    return row


def _changed(record: Assessment, kind: str, proof: bytes | None = None) -> None:
    dossier, by = _of(record)
    row = making.begin(dossier, kind, by=by)
    if kind == "change":
        filed = {one.name: _typed(dossier.part(1).get(one.name)) for one in dossier.fields(1)}
        faults = making.ask_fields(row, dossier, 1, filed | {"major": ["临床医学"]})
    else:
        faults = making.ask_correction(row, dossier, {"name": [f"{dossier.doctor.name}芳"]})
    if faults:
        raise ValueError(f"the demonstration's {kind} is refused: {sorted(faults)}")
    if proof:
        making.keep_file(row, "户口簿.jpg", proof, by=by)
    making.submit(row, dossier, by=by)


def _typed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value not in (None, "") else []


def _agreed(row: Request, record: Assessment, staff: dict[str, Actor]) -> None:
    for side in ("institution", "organisation"):
        deciding.agree(row, record, _desk(record, side, staff), by=staff[side], opinion="材料属实,同意。")


def _desk(record: Assessment, side: str, staff: dict[str, Actor]) -> Desk:
    place = record.institution_id if side == "institution" else record.assessor_id
    actor = staff[side]
    if place is None or actor.id is None:
        raise ValueError(f"nobody decides for the {side}")
    return Desk(side, (place,), actor.id, True, side == "institution")


def _of(record: Assessment) -> tuple[Dossier, Actor]:
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    return making.dossier_of_record(record), Actor("doctor", doctor.account_id, name=doctor.name)
