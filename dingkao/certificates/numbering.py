"""Serials: `province2 + year + KH + 8 + check`, opaque, found by the province they begin with."""

import re
import secrets

from stdnum.iso7064 import mod_11_10

from dingkao.tenants.registry import Province, by_code

_FORM = re.compile(r"(\d{2})(\d{4})KH(\d{8})(\d)")


def new_serial(province: int, year: int) -> str:
    """A fresh serial of a province's cycle that ends in `year`; the eight digits are random, the last is ISO 7064 MOD 11,10 over the rest."""
    digits = f"{province:02d}{year:04d}{secrets.randbelow(10**8):08d}"
    return f"{digits[:6]}KH{digits[6:]}{mod_11_10.calc_check_digit(digits)}"


def plain(text: str) -> str:
    """A serial as it is kept, however it was typed: capitals, without blanks and hyphens."""
    return re.sub(r"[\s-]", "", text).upper()


def province_of(serial: str) -> Province | None:
    """The province whose serial this could be; None where form, province or check digit are wrong."""
    found = _FORM.fullmatch(serial)
    if found is None or mod_11_10.calc_check_digit(found[1] + found[2] + found[3]) != found[4]:
        return None
    return by_code(int(found[1]))
