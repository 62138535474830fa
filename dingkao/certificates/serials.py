"""Serials of certificates: province (2 digits), year, «KH», 8 random digits, check digit. They say nothing
about the doctor; the first digits tell in which province to look."""

import re
import secrets

from stdnum.iso7064 import mod_11_10

from dingkao.tenants.registry import Province, by_code

_SERIAL_PATTERN = re.compile(r"(\d{2})(\d{4})KH(\d{8})(\d)")


def new_serial(province: int, year: int) -> str:
    """Returns a new serial for a cycle of a province that ends in `year`; the check digit is ISO 7064 MOD
    11,10 of the other digits. The caller checks that it is unused."""
    digits = f"{province:02d}{year:04d}{secrets.randbelow(10**8):08d}"
    return f"{digits[:6]}KH{digits[6:]}{mod_11_10.calc_check_digit(digits)}"


def normalise_serial(text: str) -> str:
    """Returns a typed serial in its stored form: upper case, without blanks and hyphens. The form is not
    checked."""
    return re.sub(r"[\s-]", "", text).upper()


def province_of_serial(serial: str) -> Province | None:
    """Returns the province that a normalised serial names; None if form, check digit or province are wrong.
    Whether there is such a certificate is not checked."""
    match = _SERIAL_PATTERN.fullmatch(serial)
    if match is None or mod_11_10.calc_check_digit(match[1] + match[2] + match[3]) != match[4]:
        return None
    return by_code(int(match[1]))
