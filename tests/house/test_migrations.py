"""The migrations make what the models say, and nothing else."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

import tests.tenants.models  # noqa: F401 - brings every model
from dingkao.database.model import Model, PlatformModel


def test_models_and_migrations_agree(stack):
    engine = create_engine(stack.environment["MIGRATOR_DATABASE_URL"])
    with engine.connect() as connection:
        for metadata, platform in ((Model.metadata, False), (PlatformModel.metadata, True)):
            def ours(thing, name, kind, _reflected, _other, platform=platform):
                return kind != "table" or (name != "alembic_version" and (thing.schema == "platform") == platform)

            context = MigrationContext.configure(
                connection, opts={"include_schemas": platform, "include_object": ours, "compare_type": True, "target_metadata": metadata}
            )
            assert compare_metadata(context, metadata) == []
    engine.dispose()
