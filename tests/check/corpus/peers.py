"""The same problems given to other checkers, at their defaults: they say yes or no, and neither where nor why."""

from __future__ import annotations

import time
import warnings

import numpy as np

NAMES = ("torch slow", "torch fast", "jax", "scipy")
HEADER = f"{'':16s}{'correct':>9s}{'false alarm':>12s}{'':9s}{'bugs':>7s}{'missed':>8s}{'seconds':>12s}"


class Peers:
    """Calls the checkers and counts; one that is not installed is left out."""

    def __init__(self):
        self.tally = {}
        self.checks = {}
        for name, load in (("torch", self._torch), ("jax", self._jax), ("scipy", self._scipy)):
            try:
                self.checks |= load()
            except ImportError:
                print(f"{name} is not installed")
        for name in self.checks:
            self.tally[name] = {"correct": 0, "false alarm": 0, "bugs": 0, "missed": 0, "seconds": 0.0}

    def judge(self, case, make_gradient, wrong):
        """Ask each of them about one gradient; `make_gradient` gives a fresh one, for those that remember."""
        for name, check in self.checks.items():
            counts = self.tally[name]
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    accepted = check(case, make_gradient())
                except Exception:  # whatever they stumble over is caught
                    accepted = False
            counts["seconds"] += time.perf_counter() - start
            counts["bugs" if wrong else "correct"] += 1
            counts["missed"] += wrong and accepted
            counts["false alarm"] += not wrong and not accepted

    def lines(self):
        """A line of the table for each."""
        for name, c in self.tally.items():
            yield (
                f"{name:16s}{c['correct']:9d}{c['false alarm']:12d}{'':9s}{c['bugs']:7d}{c['missed']:8d}"
                f"{c['seconds']:12.1f}"
            )

    @staticmethod
    def _torch():
        import torch

        def check(case, grad, fast):
            names = list(case.params)

            class Function(torch.autograd.Function):
                @staticmethod
                def forward(ctx, *tensors):
                    ctx.point = {k: t.detach().numpy().copy() for k, t in zip(names, tensors, strict=True)}
                    return torch.as_tensor(np.asarray(case(ctx.point)))

                @staticmethod
                def backward(ctx, upstream):
                    found = grad(ctx.point)
                    return tuple(torch.as_tensor(np.array(found[k])) * upstream for k in names)

            tensors = [torch.tensor(v, requires_grad=True) for v in case.params.values()]
            return torch.autograd.gradcheck(Function.apply, tensors, fast_mode=fast, raise_exception=False)

        return {
            "torch slow": lambda case, grad: check(case, grad, False),
            "torch fast": lambda case, grad: check(case, grad, True),
        }

    @staticmethod
    def _jax():
        import jax
        from jax.test_util import check_grads

        jax.config.update("jax_enable_x64", True)

        def check(case, grad):
            kind = jax.ShapeDtypeStruct((), case.dtype)
            shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in case.params.items()}

            def numbers(p):
                return {k: np.asarray(v) for k, v in p.items()}

            @jax.custom_vjp
            def f(p):
                return jax.pure_callback(lambda p: np.asarray(case(numbers(p)), case.dtype), kind, p)

            def forward(p):
                return f(p), p

            def backward(p, upstream):
                found = jax.pure_callback(lambda p: {k: np.asarray(v) for k, v in grad(numbers(p)).items()}, shapes, p)
                return ({k: v * upstream for k, v in found.items()},)

            f.defvjp(forward, backward)
            try:
                check_grads(f, (case.params,), order=1, modes=["rev"])
            except AssertionError:
                return False
            return True

        return {"jax": check}

    @staticmethod
    def _scipy():
        from scipy.optimize import check_grad

        def check(case, grad):
            shapes = {k: v.shape for k, v in case.params.items()}
            ends = np.cumsum([v.size for v in case.params.values()])

            def tree(x):
                parts = np.split(x.astype(case.dtype), ends[:-1])
                return {k: part.reshape(shape) for part, (k, shape) in zip(parts, shapes.items(), strict=True)}

            def flat(found):
                return np.concatenate(
                    [np.asarray(found[k], float).reshape(shape).ravel() for k, shape in shapes.items()]
                )

            x = flat(case.params)
            # It returns a norm and no verdict; 1e-6 is what tests compare it with most often.
            return check_grad(lambda x: float(case(tree(x))), lambda x: flat(grad(tree(x))), x) < 1e-6

        return {"scipy": check}
