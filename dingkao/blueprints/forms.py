"""The form every form is: blanks stripped, one CSRF token, messages that say what to do."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField
from wtforms.validators import ValidationError

from dingkao.errors import Invalid


def stripped(value: Any) -> Any:
    """Text without the blanks at its ends."""
    return value.strip() if isinstance(value, str) else value


class Form(FlaskForm):
    """A form; `refuse` puts a rule's refusal at the field it names."""

    class Meta(FlaskForm.Meta):
        """Strip text fields, but no password."""

        def bind_field(self, form: Any, unbound_field: Any, options: Any) -> Any:
            """Give text fields their filter."""
            if issubclass(unbound_field.field_class, StringField) and not issubclass(unbound_field.field_class, PasswordField):
                options["filters"] = [*unbound_field.kwargs.get("filters", ()), stripped]
            return super().bind_field(form, unbound_field, options)

    def refuse(self, refusal: Invalid) -> None:
        """Show the refusal at its field, or above the form where it names none."""
        field = self._fields.get(refusal.field or "")
        if field is None:
            self.form_errors.append(refusal.sentence)
        else:
            field.errors = [*field.errors, refusal.sentence]


class Needed:
    """A field that must not be left empty; the sentence says what to put there."""

    field_flags = {"required": True}

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def __call__(self, _form: Any, field: Any) -> None:
        """Raise when empty."""
        if field.data is None or (isinstance(field.data, str) and not field.data.strip()) or field.data == []:
            raise ValidationError(self.sentence)


class Choice(SelectField):
    """A list to choose from, beginning with «请选择»."""

    def __init__(self, label: str, validators: Any = None, choices: Any = (), **more: Any) -> None:
        super().__init__(label, validators, choices=[("", "请选择"), *choices], validate_choice=True, **more)
