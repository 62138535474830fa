"""The filings of doctors (填报信息) and their review."""
