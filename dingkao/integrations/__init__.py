"""Everything outside the application: uploaded spreadsheets and pictures, the object store, PDF, short
messages, WeChat."""
