"""The blind indices by which a doctor is found from a document number, and the key by which names are
sorted."""

from dingkao.people import identity_numbers
from dingkao.tenants.encryption import current_vault, normalise_text


def candidate_number_indices(text: str) -> dict[str, bytes]:
    """The document numbers that `text` may mean, each with its blind index: fifteen digits may be an old
    resident number, which has eighteen now, or the number of another kind of document. An empty text gives ""
    alone, whose index nobody has."""
    candidates = (
        identity_numbers.normalise_login_number(text),
        normalise_text(text)[:64],
    )
    return {number: number_index(number) for number in candidates}


def number_index(number: str) -> bytes:
    """The blind index of a whole document number; brackets and dashes in it are ignored."""
    return current_vault().blind_index("number", identity_numbers.normalise_number(number))


def number_tail_index(number: str) -> bytes:
    """The blind index of the last four letters and digits of a document number."""
    return current_vault().blind_index("number-tail", identity_numbers.normalise_number(number)[-4:])


def name_sort_key(name: str) -> str:
    """The key by which names are sorted: pinyin, then the name itself (the database has no Chinese
    collation)."""
    from pypinyin import (
        lazy_pinyin,
    )  # its dictionaries take half a second to load

    return "".join(lazy_pinyin(name)).lower() + " " + name
