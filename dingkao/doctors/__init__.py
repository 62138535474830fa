"""Who is assessed: doctors, their numbers, and the roster (医师名单) they come in by."""
