"""A plugin of pytest that notes which test comes by which lines of the product; see `scratch.record`."""

import atexit
from collections.abc import Iterator

import pytest
from coverage import Coverage

from tests.mutants.scratch import RECORDS_FOLDER, ROOT

_coverage = Coverage(
    data_file=RECORDS_FOLDER / "coverage", data_suffix=True, source=[str(ROOT / "dingkao")], config_file=False
)
_coverage.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """What runs now is this test, with the fixtures that are made for it."""
    _coverage.switch_context(item.nodeid)
    result = yield
    _coverage.switch_context("")
    return result


@atexit.register
def _save() -> None:
    _coverage.stop()
    _coverage.save()
