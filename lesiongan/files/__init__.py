"""Files on disk: atomic writes, locks, hashes, and reading what may be damaged or hostile."""
