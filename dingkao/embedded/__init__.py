"""The one-machine stack: PostgreSQL, Valkey and Swift as supervised children. Only the terminal (`dingkao/cli/`) imports this room."""
