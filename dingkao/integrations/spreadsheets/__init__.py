"""Reads and writes spreadsheets: xlsx, xls, ods, csv."""
