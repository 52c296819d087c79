"""Benchmarks of fdcore against its peers and against hand-written C: ``python -m bench --help``."""

import os

# The threads of NumPy's BLAS look for more work for 20 ms after a call, those of OpenMP for some 6 ms after a region,
# on the processor that the next contender's second thread is about to be given. They go to sleep at once instead;
# there are as many of them as before. Read when the libraries are loaded.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
