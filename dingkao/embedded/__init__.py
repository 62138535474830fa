"""The stack on one machine: PostgreSQL, Valkey and Swift as supervised child processes. Only the command line
(`dingkao/cli/`) imports this package."""
