"""What setting a first password and resetting a forgotten one have in common: the data of the account's
owner, and the rules for a new password."""

from datetime import date

from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput
from dingkao.people import identity_numbers, passwords
from dingkao.people.models import Account
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_code


def roster_mobile(doctor: Doctor | None) -> str | None:
    """The mobile number that the roster has for a doctor, decrypted; None if it has none."""
    if doctor is None or doctor.mobile_sealed is None:
        return None
    return current_vault().decrypt(
        SecretLocation("doctor", "mobile", doctor.id),
        doctor.mobile_sealed,
    )


def validate_new_password(
    new_password: str,
    repeated: str,
    *,
    account: Account | None = None,
    doctor: Doctor | None = None,
    mobile: str | None = None,
    raw_number: str = "",
) -> None:
    """Check a new password against the rules and the data of its owner: of `account` and `doctor`, or, if the
    page may not disclose whether an account exists, of the typed number `raw_number` alone. `repeated`: the
    password typed again. Raises InvalidInput for the field `new_password` or `again`."""
    if new_password != repeated:
        raise InvalidInput("两次输入的新密码不一致，请重新输入。", "again")
    number, birth_date = _number_and_birth_date(doctor, raw_number)
    passwords.validate_new_password(
        new_password,
        staff=account is not None and account.kind == "staff",
        birth_date=birth_date,
        numbers=(mobile or "", roster_mobile(doctor) or "", number),
        names=_names_of(account),
        province=by_code(current_tenant()),
    )


def _number_and_birth_date(doctor: Doctor | None, raw_number: str) -> tuple[str, date | None]:
    """The document number and the birth date: the doctor's, or without a doctor the typed number in its
    normal form and the date in it (None if it has none)."""
    if doctor is None:
        number = identity_numbers.normalise_login_number(raw_number)
        return number, identity_numbers.birth_date_of(number)
    number = document_number_of(doctor)
    return (
        number,
        doctor.birth_date or identity_numbers.birth_date_of(number),
    )


def _names_of(account: Account | None) -> tuple[str, ...]:
    """The names that may not be in a password: the account's name and user name; none without an account."""
    return (account.name, account.user_name or "") if account else ()
