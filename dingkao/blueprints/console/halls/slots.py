"""One slot: who has a seat in it, placing and removing doctors, its list as a file, its start code."""

from typing import NamedTuple
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import ASSESSMENT_STATES, PROCEDURES
from dingkao.blueprints.console.halls.blueprint import halls
from dingkao.blueprints.console.halls.forms import manage_scope
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams import halls as hall_rules
from dingkao.exams import slot_places, slots, start_codes
from dingkao.exams.models.hall_models import Slot
from dingkao.exams.slot_places import PlacementResult
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.question_banks.models import SUBJECTS
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids
from dingkao.web.request_lifecycle import limiter, xlsx_response

MAX_SHOWN, MAX_EXPORTED, MAX_REASONS_SHOWN = 200, 1000, 3
MAX_SEAT_DIGITS = 5
HEADINGS = [
    "座位号",
    "姓名",
    "证件号码",
    "准考证号",
    "主要执业机构",
    "执业类别",
    "级别",
    "程序",
    "状态",
]


class _InstitutionFilter(NamedTuple):
    """The institution to which the page is limited: what was typed, the institution found, and the message
    why none was found."""

    typed: str
    institution: Organisation | None
    problem: str

    @property
    def institution_id(self) -> UUID | None:
        """The id of the institution found; None if none was."""
        return self.institution.id if self.institution else None


@halls.get("/office/slots/<uuid:slot_id>")
@require("halls.manage")
def show_slot(slot_id: UUID) -> str:
    """One slot: who has a seat in it, by seat, after the seat `seat` of the address, and who could get one
    (only of the institution that was typed, if any); up to MAX_SHOWN of each. Raises NotFound."""
    slot = slots.get_slot(slot_id, manage_scope())
    institution_filter = _institution_filter(slot)
    waiting, waiting_count = slot_places.waiting_records(slot, institution_filter.institution_id, MAX_SHOWN)
    seat_text = request.args.get("seat", "")
    placed = slot_places.placed_doctors(slot, _parse_seat(seat_text), MAX_SHOWN + 1)
    named_ids = [
        *(record.institution_id for record in waiting),
        slot.institution_id,
        slot.organisation_id,
    ]
    return render_template(
        "console/halls/slot.html",
        slot=slot,
        hall=hall_rules.hall_of(slot),
        placed=placed[:MAX_SHOWN],
        onward=placed[MAX_SHOWN - 1].seat if len(placed) > MAX_SHOWN else None,
        mark=seat_text,
        taken=slots.taken_seat_count(slot),
        free=waiting,
        people=doctors_by_id(record.doctor_id for record in waiting),
        waiting=waiting_count,
        institution=institution_filter.institution,
        unknown=institution_filter.problem,
        wanted=institution_filter.typed,
        names=organisation_names(named_ids),
        subjects=SUBJECTS,
        categories=CATEGORIES,
        levels=LEVELS,
        procedures=PROCEDURES,
        states=ASSESSMENT_STATES,
    )


def _institution_filter(slot: Slot) -> _InstitutionFilter:
    """The institution that the address names, if its doctors may get a seat in the slot; for another one why
    none was found."""
    typed = request.args.get("institution", "").strip()
    if not typed:
        return _InstitutionFilter(typed, None, "")
    try:
        return _InstitutionFilter(
            typed,
            slot_places.find_institution_of_slot(slot, typed),
            "",
        )
    except InvalidInput as refusal:
        return _InstitutionFilter(typed, None, refusal.message)


def _parse_seat(text: str) -> int:
    """The number of the seat after which the page begins; 0 for the first page, or if the text is no
    number."""
    return int(text) if text.isdecimal() and len(text) <= MAX_SEAT_DIGITS else 0


@halls.post("/office/slots/<uuid:slot_id>/places")
@require("halls.manage")
@limiter.limit("120/hour")
def place_doctors(slot_id: UUID) -> Response:
    """Give seats to the ticked doctors, or to all who wait (of the institution in the form, if one is typed)
    as far as there are seats, and notify them; slot and records are locked. Who of the ticked gets none is
    counted, with up to MAX_REASONS_SHOWN reasons. Raises NotFound, InvalidInput for an unknown
    institution."""
    slot = slots.get_slot(slot_id, manage_scope(), for_update=True)
    if "all" in request.form:
        result = _fill_slot(slot)
        nobody_message = "没有可以编排的医师，或考场已满。"
    else:
        result = slot_places.place_records(slot, ticked_ids(), by=current_user.as_actor())
        nobody_message = "请先勾选要编排的医师。"
    if result.placed_count or result.skipped:
        flash(_placement_message(result))
    else:
        flash(nobody_message, "refusal")
    return redirect(url_for("halls.show_slot", slot_id=slot_id), 303)


def _fill_slot(slot: Slot) -> PlacementResult:
    """Give seats in the slot (locked), as far as there are some, to all doctors who wait, or only those of
    the institution in the form, and notify them. Raises InvalidInput for an unknown institution."""
    words = request.form.get("institution")
    institution = slot_places.find_institution_of_slot(slot, words) if words else None
    return slot_places.fill_slot(
        slot,
        by=current_user.as_actor(),
        institution_id=institution.id if institution else None,
    )


def _placement_message(result: PlacementResult) -> str:
    """How many doctors got a seat, and why others didn't, as text."""
    message = f"已编排{result.placed_count}人。"
    if result.skipped:
        reasons = sorted({reason for _, reason in result.skipped})
        message += f"{len(result.skipped)}人未编排：{'；'.join(reasons[:MAX_REASONS_SHOWN])}。"
    return message


@halls.post("/office/slots/<uuid:slot_id>/places/remove")
@require("halls.manage")
def remove_doctors(slot_id: UUID) -> Response:
    """Take their seats from the ticked doctors, who are notified; others that are ticked are ignored. Raises
    NotFound."""
    slot = slots.get_slot(slot_id, manage_scope(), for_update=True)
    removed_count = slot_places.remove_from_slot(slot, ticked_ids("placed"), by=current_user.as_actor())
    flash(f"已移出{removed_count}人，已发消息告知。")
    return redirect(url_for("halls.show_slot", slot_id=slot_id), 303)


@halls.post("/office/slots/<uuid:slot_id>/remove")
@require("halls.manage")
def remove_slot(slot_id: UUID) -> Response:
    """Remove a slot; one in which somebody has a seat stays, and its page says why. Raises NotFound."""
    slot = slots.get_slot(slot_id, manage_scope(), for_update=True)
    try:
        slots.remove_slot(slot, by=current_user.as_actor())
    except InvalidState as refusal:
        flash(refusal.message, "refusal")
        return redirect(url_for("halls.show_slot", slot_id=slot_id), 303)
    flash("场次已删除。")
    return redirect(url_for("halls.list_halls"), 303)


@halls.get("/office/slots/<uuid:slot_id>/list.xlsx")
@require("halls.export")
def export_slot(slot_id: UUID) -> FlaskResponse:
    """The seats of a slot with their doctors, as xlsx; numbers masked, at most MAX_EXPORTED people (domain.md
    §12). Raises NotFound, InvalidState for more."""
    slot = slots.get_slot(slot_id, current_user.grant("halls.export"))
    placed = slot_places.placed_doctors(slot, 0, MAX_EXPORTED + 1)
    if len(placed) > MAX_EXPORTED:
        raise InvalidState(f"一次最多导出{MAX_EXPORTED}人，请分场次安排后再导出。")
    rows = [
        (
            entry.seat,
            entry.doctor.name,
            entry.doctor.number_masked,
            entry.ticket,
            entry.institution,
            CATEGORIES[entry.doctor.category],
            LEVELS[entry.doctor.level],
            PROCEDURES.get(entry.record.procedure or "", ""),
            ASSESSMENT_STATES[entry.record.state],
        )
        for entry in placed
    ]
    return xlsx_response(write_xlsx(HEADINGS, rows, "考场签到表"), "slot.xlsx")


@halls.get("/office/slots/<uuid:slot_id>/code")
@require("halls.start_code")
def start_code(slot_id: UUID) -> FlaskResponse:
    """The start code, which the invigilator reads out or shows; the page reloads itself when the next code is
    due. Raises NotFound, also for a slot without invigilator."""
    slot = slots.get_slot(slot_id, current_user.grant("halls.start_code"))
    if not slot.invigilated:
        raise NotFound("这个场次没有设监考人员，进入考试不需要开考码。")
    code, shown_until = start_codes.start_code(slot)
    page = render_template(
        "console/halls/start_code.html",
        slot=slot,
        hall=hall_rules.hall_of(slot),
        code=code,
        until=shown_until,
        valid_minutes=start_codes.CODE_SECONDS // 60,
        moment=clock.now(),
    )
    seconds = max(1, int((shown_until - clock.now()).total_seconds()) + 1)
    return FlaskResponse(page, headers={"Refresh": str(seconds)}, mimetype="text/html")
