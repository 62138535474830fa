"""The environment of the stack's processes: the variables of engines that are provided from outside, and
those that the stack wrote at its start. It imports no engines, so that a process that only needs its
environment starts fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dingkao.embedded.startup_errors import StartupError


@dataclass(frozen=True)
class ExternalService:
    """An engine that may be provided from outside: then all `required_variables` must be set. A provided
    engine is never mixed with the stack's own."""

    required_variables: tuple[str, ...]
    optional_variables: tuple[str, ...] = ()

    def configured(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Returns the variables of the engine that `environment` has; {} if it has none. Raises StartupError
        if it has some but not all required ones."""
        values = {name: environment[name] for name in self.variables if environment.get(name)}
        missing = [name for name in self.required_variables if name not in values]
        if values and missing:
            raise StartupError(
                f"已给出 {'、'.join(values)}，因此还需要给出 {'、'.join(missing)}（见 deploy/README.md）。"
            )
        return values

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all variables of the engine, the required ones first."""
        return (*self.required_variables, *self.optional_variables)


DATABASE = ExternalService(
    (
        "DATABASE_URL",
        "PLATFORM_DATABASE_URL",
        "MIGRATOR_DATABASE_URL",
    ),
    ("BACKUP_DATABASE_URL",),
)


QUEUE = ExternalService(("REDIS_URL",))


STORE = ExternalService(
    ("S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    ("S3_BUCKET",),
)


def saved_environment(home: Path) -> dict[str, str]:
    """Returns the environment that the stack of the folder `home` has written, or {}."""
    path = home / "environment"
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().split("\n") if "=" in line)


def process_environment(home: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a process of the stack of `home`: what the stack has written, overridden by
    `values`. If `values` has any variable of an engine, none of that engine's written ones is used. An empty
    value in `values` does not override a written one."""
    saved = saved_environment(home)
    for engine in (DATABASE, QUEUE, STORE):
        saved = _without_provided(saved, values, engine.variables)
    return saved | {name: value for name, value in values.items() if value or name not in saved}


def _without_provided(
    saved: Mapping[str, str],
    values: Mapping[str, str],
    names: tuple[str, ...],
) -> dict[str, str]:
    """Returns `saved` without the variables `names` of an engine, if `values` has any of them."""
    if any(values.get(name) for name in names):
        return {name: value for name, value in saved.items() if name not in names}
    return dict(saved)
