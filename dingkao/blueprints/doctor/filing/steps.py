"""The pages of the five steps: shown, saved with a button, saved automatically by the page's script."""

import json
import re
from collections.abc import Collection
from typing import NamedTuple

from flask import Response as FlaskResponse
from flask import (
    flash,
    jsonify,
    redirect,
    request,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.doctor.filing.blueprint import (
    filing,
    filing_dossier,
    filing_url,
    pages_path,
)
from dingkao.blueprints.doctor.filing.step_page import (
    incomplete_steps,
    next_page,
    render_step,
)
from dingkao.blueprints.doctor.form_input import (
    FormValues,
    is_page_under,
    read_form_values,
    typed_value,
)
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings import (
    entry_lists,
    saving,
)
from dingkao.filings.dossier import Dossier
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    entry_lists_of,
)
from dingkao.filings.field_values import (
    display_value,
    etag_of,
    form_value,
)
from dingkao.filings.fields import STEPS, Field
from dingkao.filings.saving import StaleSave
from dingkao.filings.user_notice import has_confirmed_notice
from dingkao.web.access_control import require

MAX_CLIENT_ID_LENGTH = 32


@filing.route("/filing/<int:number>", methods=["GET", "POST"])
@require("filing.edit")
def step(number: int) -> Response | tuple[str, int] | str:
    """One of the five steps: shown, or saved with a button (`_save_step`). Shown, a filing that can't be
    changed leads to its page, a doctor who hasn't confirmed the user notice to that. Raises NotFound,
    InvalidState, DeadlinePassed."""
    _require_step(number)
    if request.method == "POST":
        return _save_step(number)
    dossier = filing_dossier()
    if not dossier.is_editable():
        return redirect(filing_url("show_filing"))
    if not dossier.is_assisted and not has_confirmed_notice(dossier.doctor, dossier.cycle):
        return redirect(filing_url("user_notice"))
    return render_step(dossier, number, dossier.step_values(number))


def _require_step(number: int) -> None:
    """Raise NotFound for a number that is no step."""
    if number not in STEPS:
        raise NotFound


class PageInput(NamedTuple):
    """The input of a step's page: the typed texts, the etags of the values that the page had shown (None if
    the page sends none), and the page's id (`client_id`)."""

    values: FormValues
    etags: dict[str, str] | None
    client_id: str


def _read_page_input() -> PageInput:
    """What the step's page has sent with this request."""
    return PageInput(read_form_values(), _submitted_etags(), _client_id())


def _save_step(number: int) -> Response | tuple[str, int] | str:
    """Save the form (journalled; the first save begins the filing) and go on to the page that its button
    leads to, or render the step: with errors (status 200: what was right is saved, and what was wrong isn't),
    or with what another page has saved meanwhile (status 409: nothing is saved). Raises NotFound,
    InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    page_input = _read_page_input()
    try:
        errors = saving.save_step(
            dossier,
            number,
            page_input.values,
            request.form.get("revision", 0, int),
            by=current_user.as_actor(),
            etags=page_input.etags,
            client_id=page_input.client_id,
        )
    except StaleSave as stale:
        return _render_stale_step(dossier, number, page_input, stale) or _follow_button(dossier, number)
    if errors:
        return _render_wrong_step(dossier, number, page_input, errors)
    return _follow_button(dossier, number)


def _render_wrong_step(
    dossier: Dossier,
    number: int,
    page_input: PageInput,
    errors: dict[str, str],
) -> str:
    """The step with the stored values, but with what was typed in the wrong fields."""
    wrong_fields = [field for field in dossier.fields(number) if field.name in errors]
    page_values = dossier.step_values(number) | _typed_values(wrong_fields, page_input.values)
    return render_step(dossier, number, page_values, errors=errors)


def _render_stale_step(
    dossier: Dossier,
    number: int,
    page_input: PageInput,
    stale: StaleSave,
) -> tuple[str, int] | None:
    """The step with what was typed and what another page has stored meanwhile, with status 409; None if they
    don't differ."""
    differences = saving.differences(
        dossier,
        number,
        page_input.values,
        page_input.etags,
        page_input.client_id,
    )
    if not differences:
        return None
    page_values = dossier.step_values(number) | _values_changed_by_page(dossier, number, page_input)
    page = render_step(
        dossier,
        number,
        page_values,
        message=stale.message,
        differences=differences,
    )
    return page, 409


def _follow_button(dossier: Dossier, number: int) -> Response:
    """Do what the pressed button asks for besides saving: move an entry of a list or restore a removed one
    (`list` in the form), go to another page, or, for the button that only saves, tell that the filing isn't
    submitted yet and show step `number` again. Returns a redirect (303). Raises InvalidState,
    DeadlinePassed."""
    if "list" in request.form:
        return _handle_list_action(dossier, number, request.form["list"])
    target = _requested_page(number)
    if target is None:
        flash("已保存，尚未提交。全部填好后请在最后一步提交。")
        target = filing_url("step", number=number)
    return redirect(target, 303)


def _requested_page(number: int) -> str | None:
    """The URL that the pressed button leads to; None for the button that only saves."""
    if "next" in request.form:
        return next_page(number)
    if "back" in request.form and number > 1:
        return filing_url("step", number=number - 1)
    return _stay_page(number) if "stay" in request.form else None


def _stay_page(number: int) -> str:
    """The page of the filing that the form names in `stay`; for any other page this step."""
    target = request.form["stay"]
    return target if is_page_under(target, pages_path()) else filing_url("step", number=number)


def _submitted_etags() -> dict[str, str] | None:
    """The etags of the values that the page had shown, by field name; None if it sends none."""
    try:
        etags = json.loads(request.form.get("known", ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(etags, dict):
        return None
    return {str(name): str(etag) for name, etag in etags.items()}


def _client_id() -> str:
    """The id of a page that saves automatically; "" if it sends none, or one that isn't made of ASCII letters
    and digits, MAX_CLIENT_ID_LENGTH at the most."""
    client_id = request.form.get("pen", "")
    is_valid = client_id.isalnum() and client_id.isascii() and len(client_id) <= MAX_CLIENT_ID_LENGTH
    return client_id if is_valid else ""


def _values_changed_by_page(dossier: Dossier, number: int, page_input: PageInput) -> dict[str, object]:
    """What was typed in the fields that were changed on the page; its other fields may show outdated
    values."""
    changed_fields = [field for field in dossier.fields(number) if _is_changed_by_page(field, page_input)]
    return _typed_values(changed_fields, page_input.values)


def _is_changed_by_page(field: Field, page_input: PageInput) -> bool:
    """Whether the field's value differs from the one that the page had shown; True if that is unknown."""
    if page_input.etags is None:
        return True
    texts = [text for text in page_input.values.get(field.name, []) if text]
    return etag_of(texts) != page_input.etags.get(field.name)


def _typed_values(fields: Collection[Field], values: FormValues) -> dict[str, object]:
    """What was typed in these fields, in the form in which the page shows it again, by field name."""
    return {field.name: typed_value(field, values) for field in fields}


def _handle_list_action(dossier: Dossier, number: int, action: str) -> Response:
    """Move an entry of a list of this step (`action`: move/KIND/ENTRY/POSITION), or restore the entry removed
    last (restore/KIND), and return to the list, with a message if that is full. Other actions are ignored.
    Raises InvalidState, DeadlinePassed."""
    verb, kind, entry_id, position = [*action.split("/"), "", "", ""][:4]
    if kind in entry_lists_of(number):
        try:
            _change_entry_list(dossier, kind, verb, entry_id, position)
        except InvalidInput as refusal:
            flash(refusal.message, "refusal")
    anchor = kind if kind in ENTRY_LISTS else None
    return redirect(filing_url("step", number=number, _anchor=anchor), 303)


def _change_entry_list(
    dossier: Dossier,
    kind: str,
    verb: str,
    entry_id: str,
    position: str,
) -> None:
    """Carry out the action `verb` («move» to `position`, from 0, or «restore»; others do nothing) on the list
    `kind`. Raises InvalidInput if the list is full, InvalidState, DeadlinePassed."""
    by = current_user.as_actor()
    if verb == "restore":
        entry_lists.restore_entry(dossier, kind, by=by)
    elif verb == "move" and re.fullmatch("[0-9]+", position):
        entry_lists.move_entry(dossier, kind, entry_id, int(position[:3]), by=by)


@filing.post("/filing/<int:number>/keep")
@require("filing.edit")
def autosave(number: int) -> FlaskResponse:
    """Save what was typed on a step, field by field, for the page's script: of the fields whose etags it
    sends; only the beginning of a filing is journalled. Responds with JSON: `fields` has by field name what
    became of it (`_autosave_answer`), `saved` the time of the last save in Beijing (HH:MM), `doubts` the
    warnings about the step, `lacking` the steps in which something is missing. Raises NotFound, InvalidState,
    DeadlinePassed."""
    _require_step(number)
    dossier = filing_dossier(for_update=True)
    etags = _submitted_etags() or {}
    merged = saving.autosave_step(
        dossier,
        number,
        read_form_values(),
        etags,
        _client_id(),
        by=current_user.as_actor(),
    )
    saved_at = dossier.filing.saved_at if dossier.filing else clock.now()
    return jsonify(
        fields={
            field.name: _autosave_answer(field, merged)
            for field in dossier.fields(number)
            if field.name in etags
        },
        saved=f"{clock.to_beijing(saved_at):%H:%M}",
        doubts=dossier.warnings(number),
        lacking=sorted(incomplete_steps(dossier)),
    )


def _autosave_answer(field: Field, merged: saving.Merge) -> dict[str, object]:
    """The response for one field: its etag (`mark`) and error (`fault`), and the stored value (`theirs`,
    `words`) if another page saved before."""
    answer: dict[str, object] = {
        "mark": etag_of(merged.values.get(field.name)),
        "fault": merged.errors.get(field.name),
    }
    if field.name in merged.conflicts:
        stored_value = merged.conflicts[field.name]
        answer["theirs"] = form_value(stored_value)
        answer["words"] = display_value(field, stored_value) or "空"
    return answer
