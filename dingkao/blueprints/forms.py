"""The form every form is: blanks stripped, one CSRF token, messages that say what to do."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import request
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import DateField, DateTimeLocalField, HiddenField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from dingkao.errors import Invalid

LONGEST, EARLIEST, LATEST = 200, 1990, 2100


def stripped(value: Any) -> Any:
    """Text without the blanks at its ends."""
    return value.strip() if isinstance(value, str) else value


SENTENCES = {
    "Not a valid choice.": "请从列表中选择一项。",
    "Not a valid choice": "请从列表中选择一项。",
    "Not a valid date value.": "日期无法识别,请写成2024-09-01。",
    "Not a valid datetime value.": "时间无法识别,请写成2024-09-01 09:00。",
    "Not a valid integer value.": "请填写整数。",
    "Not a valid decimal value.": "请填写数字。",
    "Not a valid float value.": "请填写数字。",
    "This field is required.": "请填写此项。",
}


class OurWords:
    """What the forms' library says of a field by itself, in our words."""

    def gettext(self, text: str) -> str:
        """The sentence for `text`."""
        return SENTENCES.get(text, text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The same where the library counts."""
        return self.gettext(one if number == 1 else many)


class Form(FlaskForm):
    """A form; `refuse` puts a rule's refusal at the field it names."""

    class Meta(FlaskForm.Meta):
        """Strip text fields, but no password; speak Chinese; take what a form sends and no JSON, which may be anything."""

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """The form of a request, where it brings one."""
            return super().wrap_formdata(form, formdata) if not request.is_json else None

        def get_translations(self, _form: Any) -> OurWords:
            """Our words."""
            return OurWords()

        def bind_field(self, form: Any, unbound_field: Any, options: Any) -> Any:
            """Give text fields their filter."""
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                options["filters"] = [*unbound_field.kwargs.get("filters", ()), stripped]
            field = super().bind_field(form, unbound_field, options)
            if issubclass(kind, StringField) and not issubclass(kind, HiddenField):
                field.validators = [*field.validators, not_too_long]
            elif issubclass(kind, DateField | DateTimeLocalField):
                field.validators = [*field.validators, in_our_time]
            return field

    def refuse(self, refusal: Invalid) -> None:
        """Show the refusal at its field, or above the form where it names none."""
        field = self._fields.get(refusal.field or "")
        if field is None:
            self.form_errors.append(refusal.sentence)
        else:
            field.errors = [*field.errors, refusal.sentence]


def not_too_long(_form: Any, field: Any) -> None:
    """Raise for a text nobody means; longer ones have fields of their own."""
    longest = getattr(field, "longest", LONGEST)
    if field.data and len(field.data) > longest:
        raise ValidationError(f"{field.label.text}请不要超过{longest}字,现有{len(field.data)}字。")


def in_our_time(_form: Any, field: Any) -> None:
    """Raise for a year that is a slip of the keys."""
    if field.data and not EARLIEST <= field.data.year <= LATEST:
        raise ValidationError(f"{field.label.text}的年份应在{EARLIEST}至{LATEST}之间。")


class Needed:
    """A field that must not be left empty; the sentence says what to put there."""

    field_flags = {"required": True}

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def __call__(self, _form: Any, field: Any) -> None:
        """Raise when empty."""
        if field.data is None or (isinstance(field.data, str) and not field.data.strip()) or field.data == []:
            raise ValidationError(self.sentence)


class LongText(TextAreaField):
    """A text of many lines."""

    longest = 20_000


class Choice(SelectField):
    """A list to choose from, beginning with «请选择»."""

    def __init__(self, label: str, validators: Any = None, choices: Iterable[tuple[str, str]] = (), **more: Any) -> None:
        super().__init__(label, validators, choices=choices_of(choices), validate_choice=True, **more)


def choices_of(pairs: Iterable[tuple[str, str]]) -> list[SelectChoice]:
    """«请选择» and then the choices, each a code and its word."""
    return [SelectChoice("", "请选择"), *(SelectChoice(code, word) for code, word in pairs)]


class FileForm(Form):
    """A sheet to take in."""

    file = FileField("文件(xlsx或csv)", [Needed("请选择文件。")])


def chosen(name: str = "record") -> list[UUID]:
    """The rows that were ticked; what is no id is passed over."""
    ids = []
    for text in request.form.getlist(name):
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    return ids


def posted_json(longest: int) -> Any:
    """What a script has sent as JSON, up to `longest` bytes of it; None where it is more, or no JSON."""
    try:
        return json.loads(request.get_data()) if (request.content_length or 0) <= longest else None
    except (ValueError, RecursionError):
        return None
