"""Ground floor: files on disk. Atomic writes, locks, hashes, and reading what may be damaged or
hostile.
"""
