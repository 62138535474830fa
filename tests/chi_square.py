"""How far counts are from what chance gives."""

from collections.abc import Sequence


def chi_square(counts: Sequence[int]) -> float:
    """Pearson's χ² of counts that should be equal."""
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 / mean for count in counts)


def critical_value(degrees: int) -> float:
    """The χ² that chance passes once in a thousand, by the approximation of Wilson and Hilferty."""
    part = 2 / (9 * degrees)
    return degrees * (1 - part + 3.09 * part**0.5) ** 3
