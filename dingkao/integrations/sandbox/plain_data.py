"""Reads pickled data, from a child or from the store, in a way that nothing in them can run code."""

import io
import pickle
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from dingkao.errors import Refusal
from dingkao.integrations.sandbox.renamed_classes import (
    loaded_class,
    renamed_class,
    with_former_fields,
)

ALLOWED_CLASSES = {
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"}, "decimal": {"Decimal"}, "uuid": {"UUID"}, "builtins": {"set", "frozenset", "complex"},
}  # fmt: skip


class _DataUnpickler(pickle.Unpickler):
    """Reads data only: values of the standard library, and of our classes only dataclasses, named tuples,
    enumerations and refusals."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns the class that a pickle names. Raises pickle.UnpicklingError for one that is not plain
        data."""
        if name in ALLOWED_CLASSES.get(module, ()):
            return super().find_class(module, name)
        module, name, fields = renamed_class(module, name)
        attribute = _own_attribute(module, name)
        if not _is_plain_data(attribute):
            raise pickle.UnpicklingError("not plain data")
        return with_former_fields(attribute, fields) if fields else attribute


def _own_attribute(module: str, name: str) -> Any:
    """Returns the attribute `name` of one of our modules that is loaded; None for other modules, unknown
    names and nested classes."""
    return loaded_class(module, name) if module.startswith("dingkao.") and "." not in name else None


def _is_plain_data(attribute: Any) -> bool:
    """Whether something is a class of plain data: a dataclass, named tuple, enumeration or refusal."""
    if not isinstance(attribute, type):
        return False
    return is_dataclass(attribute) or hasattr(attribute, "_fields") or issubclass(attribute, Refusal | Enum)


def load_plain_data(content: bytes) -> Any:
    """Returns the data of a pickle that we wrote and that was stored outside, or that a child sent. Raises
    pickle.UnpicklingError for anything that is not plain data, other errors of `pickle` for a damaged one."""
    return _DataUnpickler(io.BytesIO(content)).load()
