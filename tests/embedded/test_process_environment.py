"""What a process is told: by its environment before what the stack wrote down, and an engine from one of them
alone."""

import pytest

from dingkao.embedded.environment import DATABASE, STORE, process_environment
from dingkao.embedded.startup_errors import StartupError

SAVED_ENVIRONMENT = {
    "DATABASE_URL": "kept", "PLATFORM_DATABASE_URL": "kept", "MIGRATOR_DATABASE_URL": "kept", "BACKUP_DATABASE_URL": "kept", "REDIS_URL": "kept",
    "S3_ENDPOINT_URL": "kept", "S3_ACCESS_KEY": "kept", "S3_SECRET_KEY": "kept", "S3_BUCKET": "kept", "SECRET_KEY": "kept", "DATA_KEY": "kept",
}  # fmt: skip


@pytest.fixture
def home(tmp_path):
    (tmp_path / "environment").write_text(
        "".join(f"{name}={value}\n" for name, value in SAVED_ENVIRONMENT.items())
    )
    return tmp_path


def test_what_nobody_gives_is_what_the_stack_wrote_down(home, tmp_path_factory):
    assert process_environment(home, {}) == SAVED_ENVIRONMENT
    assert process_environment(home, {"DATA_KEY": ""}) == SAVED_ENVIRONMENT
    assert process_environment(tmp_path_factory.mktemp("empty"), {"DATA_KEY": "given"}) == {
        "DATA_KEY": "given"
    }


def test_keys_that_are_given_come_before_those_of_the_stack(home):
    assert process_environment(home, {"DATA_KEY": "given"}) == SAVED_ENVIRONMENT | {"DATA_KEY": "given"}


def test_an_engine_that_is_given_is_given_whole(home):
    environment = process_environment(home, {"DATABASE_URL": "given", "PLATFORM_DATABASE_URL": "given"})
    assert {name: value for name, value in environment.items() if "DATABASE" in name} == {
        "DATABASE_URL": "given",
        "PLATFORM_DATABASE_URL": "given",
    }
    assert environment["S3_BUCKET"] == "kept"
    assert "S3_ENDPOINT_URL" not in process_environment(home, {"S3_BUCKET": "given"})


def test_a_path_that_looks_like_a_line_end_is_none(tmp_path):
    (tmp_path / "environment").write_text("DINGKAO_HOME=/a\x0bb\u2028c\nPORT=1\n")
    assert process_environment(tmp_path, {}) == {"DINGKAO_HOME": "/a\x0bb\u2028c", "PORT": "1"}


def test_a_stack_names_what_is_missing_of_an_engine():
    assert DATABASE.configured({"REDIS_URL": "x"}) == {}
    with pytest.raises(StartupError) as refused:
        STORE.configured({"S3_ENDPOINT_URL": "x", "S3_BUCKET": "x"})
    assert "S3_ACCESS_KEY、S3_SECRET_KEY" in str(refused.value)
