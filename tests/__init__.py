"""The tests.

Libraries read how many threads they may use when they are imported, so it is said here, before any
is. The workers of pytest fill the processors by themselves, and threads that spin while they wait
for one another would make the tests three times as long.
"""

import os

for name in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
    os.environ.setdefault(f"{name}_THREADS", "1")
