"""HTML tables turned into rows in which a cell's text stands in the cell's first column and row, and every
further column and row that it spans has an empty cell."""

from dataclasses import dataclass, field


@dataclass
class TableGrid:
    """A table while it is read. `outside`: the pieces of text before it and between its cells; `rows`: the
    texts of its cells; `covered`: column → how many further rows a cell above covers there; `spans`:
    (columns, rows) of the cell being read, None between cells."""

    outside: list[str]
    rows: list[list[str]] = field(default_factory=list)
    covered: dict[int, int] = field(default_factory=dict)
    spans: tuple[int, int] | None = None

    def begin_row(self) -> None:
        """End the row before, and begin the next one."""
        self.end_row()
        self.rows.append([])

    def end_row(self) -> None:
        """Fill the row with empty cells up to the last column that cells of rows above cover. Nothing without
        a row; calling it again changes nothing."""
        while self.rows and self._has_covered_columns(len(self.rows[-1])):
            self._append_covered_column()
            self._append_covered_columns()

    def add_cell(self, text: str) -> None:
        """Put the text of the cell that ends here into the next free column, with empty cells for its further
        columns, and reset `spans`. Without a row, one is begun. `text` has no bars."""
        if not self.rows:
            self.rows.append([])
        column_span, row_span = self.spans or (1, 1)
        self.spans = None
        self._append_covered_columns()
        cells = self.rows[-1]
        for column in range(len(cells), len(cells) + column_span):
            self.covered[column] = row_span - 1
        cells += [text, *[""] * (column_span - 1)]

    def lines(self) -> list[str]:
        """The rows as lines of a table in our markup, without rows that have no cells. The last row must have
        been ended."""
        return [f"|{'|'.join(cells)}|" for cells in self.rows if cells]

    def _has_covered_columns(self, first_column: int) -> bool:
        """Whether a cell above covers a column from `first_column` on."""
        return any(column >= first_column and row_count for column, row_count in self.covered.items())

    def _append_covered_columns(self) -> None:
        """Append an empty cell for each covered column up to the next free one."""
        while self.covered.get(len(self.rows[-1]), 0):
            self._append_covered_column()

    def _append_covered_column(self) -> None:
        """Append an empty cell, and count one row less for the column covered there."""
        column = len(self.rows[-1])
        self.covered[column] = max(0, self.covered.get(column, 0) - 1)
        self.rows[-1].append("")
