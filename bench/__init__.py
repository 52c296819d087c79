"""Benchmarks of fdcore against its peers and against hand-written C: ``python -m bench --help``."""

import os

# NumPy's BLAS has threads that look for more work for 20 ms after a call, on the processor that the next contender is
# about to be given. They go to sleep at once instead; it still has as many threads as it wants.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
