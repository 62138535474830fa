"""What the doctor files (填报信息) and its review."""
