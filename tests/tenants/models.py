"""Every model there is, found by walking the package: a test over «every table» must not depend on who
imported what."""

import importlib
import pkgutil

import dingkao
from dingkao.database.base import Model
from dingkao.tenants.rls import TenantOwned

for _module in pkgutil.walk_packages(dingkao.__path__, "dingkao."):
    if _module.name.endswith("models"):
        importlib.import_module(_module.name)

TABLES = Model.metadata.sorted_tables
TABLE_NAMES = [table.name for table in TABLES]
OWNED = sorted(
    (mapper.class_ for mapper in Model.registry.mappers if issubclass(mapper.class_, TenantOwned)),
    key=lambda model: model.__tablename__,
)
