"""Derivatives of a program that is run: few digits, many processes at once, and how far it has come.

The simulator is a program of its own (oscillator.c) that prints six decimals. A step that suits sixteen digits sees
little but the last one printed flip; the adaptive method finds out how noisy the values are and takes a step that
suits them, and its error bars say what is left.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import fdcore as fd

NAMES = ("mass", "damping", "stiffness")
X = np.array([1.0, 0.4, 9.0])


def build(folder):
    """Compile the simulator, as its authors would."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("needs a C compiler called cc, gcc or clang")
    program = os.path.join(folder, "oscillator")
    subprocess.run([compiler, "-O2", "-o", program, Path(__file__).with_name("oscillator.c")], check=True)
    return program


class Simulator:
    """The program as a function of its parameters."""

    def __init__(self, program):
        self.program = program

    def __call__(self, x):
        given = " ".join(map(repr, map(float, x)))
        done = subprocess.run([self.program], input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            # Nothing to simulate there: the edge of the domain, not the end of the run.
            raise fd.EvaluationError(done.stderr.strip())
        return float(done.stdout)


def exact(x):
    """The gradient of the closed form, by the complex step; only an example has such a thing."""

    def closed(p):
        mass, damping, stiffness = p
        decay = damping / (2 * mass)
        omega = np.sqrt(stiffness / mass - decay**2)
        return np.exp(-decay * 2) * (np.cos(omega * 2) + decay / omega * np.sin(omega * 2))

    return fd.gradient(closed, x, method="complex")


def main():
    """Compare; returns what the tests look at."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        f = Simulator(build(folder))
        # A thread waits for each process; the processes run at once.
        naive = fd.gradient(f, X, workers=pool)
        found = fd.gradient(f, X, method="adaptive", workers=pool, full_output=True, progress=True)
        right = exact(X)
    print(f"{'':>10}{'exact':>12}{'step for 16 digits':>20}{'adaptive':>12}{'+- error':>10}")
    for name, *values in zip(NAMES, right, naive, found.value, found.error, strict=True):
        print("{:>10}{:>12.5f}{:>20.5f}{:>12.5f}{:>10.5f}".format(name, *values))
    print(f"{found.nfev} runs of the simulator", file=sys.stderr)
    return right, naive, found


if __name__ == "__main__":
    main()
