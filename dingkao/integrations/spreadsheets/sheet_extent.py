"""How large a sheet may be, of every kind of file."""

MAX_CELLS = 12_000_000
"""The most cells in the extent of a sheet: last row × columns."""
MAX_CSV_ROWS, MAX_COLUMNS = 2_200_000, 1000
"""The most lines of a csv, and its most columns."""
