"""The command ``fdcore``: argument parsing only."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from fdcore.cli import commands
from fdcore.cli.library import GRADIENTS, LOSS
from fdcore.cli.target import UsageError, UserCodeError
from fdcore.errors import MissingExtraError

__all__ = ["main"]

USAGE = 3
INTERRUPTED = 130  # as shells have it

_OVERVIEW = """
examples:
  fdcore demo                                                    real data, checked gradients, a planted bug
  fdcore check model:loss --grad model:grad --at params.npz      a gradient of your own
  fdcore check --torch model:setup --double                      a PyTorch module, by parameter name
  fdcore check ./libfoo.so:loss --grad ./libfoo.so:grad --at 1,2,3   functions of a C library
  fdcore curve math:exp --at 1.0 --exact math:exp                which step is too large, which too small

'fdcore COMMAND --help' has more of each. Nothing is ever unpickled.
"""

_CHECK = f"""
what is checked:
  MODULE:LOSS      a Python function of the parameters, with --grad MODULE:GRAD. The current directory counts. Both get
                   what --at holds: from .npz a dict of arrays by name, from .npy one array, from .json nested lists and
                   objects of numbers, or one vector written out: --at 1.0,2.5,-3. The gradient has the same form.
  LIBRARY:LOSS     a function of a native library (.so, .dylib, .dll), with the signature that --signature says:
                   {LOSS!r} if nothing else. --grad LIBRARY:GRAD fills an array,
                   --grad-signature being one of
                     {(chr(10) + " " * 21).join(GRADIENTS)}
                   The loss may be native and the gradient Python, or the other way round.
  --torch MODULE:FACTORY
                   a function without arguments that returns a torch.nn.Module which returns its own loss, or
                   (module, loss, inputs), or (module, loss, inputs, targets), to be put together as
                   loss(module(inputs), targets). A module that needs no factory can be named itself.

exit status:
  0  the gradient agrees
  1  the gradient is wrong
  2  cannot tell (the reason is in the report)
  3  the command line is wrong, or the functions could not be loaded or called

examples:
  # in model.py: def loss(params): ...   def grad(params): ...
  python -c "import numpy as np; np.savez('params.npz', W=np.ones((3, 2)), b=np.zeros(2))"
  fdcore check model:loss --grad model:grad --at params.npz
  fdcore check model:loss --grad model:grad --at params.npz --only 'layer1.*' --html report.html

  # in model.py: def setup(): return net, torch.nn.CrossEntropyLoss(), X, y
  fdcore check --torch model:setup --double

  # double loss(int n, const double *x);   void grad(int n, const double *x, double *g);
  cc -shared -fPIC -o libfoo.so foo.c
  fdcore check ./libfoo.so:loss --grad ./libfoo.so:grad --at 0.5,-1.5
"""

_CURVE = """
Reads as a V: on the left rounding (the step is too small to change f by more than its last digits), on the right
truncation (the step is too large for f to be straight). The 'best' row is where they meet, 'predicted' is fdcore's own
step where nothing is said.

examples:
  fdcore curve math:exp --at 1.0 --exact math:exp
  fdcore curve model:loss --at params.npy --methods forward,central --plot curve.png
  fdcore curve libm.so.6:sin --signature 'double (double)' --at 1.0
"""


class _Parser(argparse.ArgumentParser):
    """A wrong command line is exit status 3: 2 already means "cannot tell"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def _version() -> str:
    try:
        return version("fdcore")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="fdcore",
        description="Numerical derivatives, and gradient checks that say what is wrong.",
        epilog=_OVERVIEW,
        formatter_class=verbatim,
    )
    parser.add_argument("--version", action="version", version=f"fdcore {_version()}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    demo = subparsers.add_parser(
        "demo",
        help="fit two models to real data, check their gradients, catch a planted bug",
        description="Fits linear regression to NIST's Norris data and logistic regression to the Space Shuttle's "
        "O-rings, compares with the certified and published estimates, checks the analytic gradients, then plants a "
        "bug and shows the report that catches it. Exit status 0 if all of it went as it must, 1 if not.",
    )
    demo.add_argument("--html", metavar="FILE", help="also write the report of the planted bug as a page")

    check = subparsers.add_parser(
        "check",
        help="check an analytic gradient of your own against a numeric one",
        description="Checks the gradient of a Python function, of a function in a native library, or of a PyTorch "
        "module against a numeric one, and says which entries are wrong.",
        epilog=_CHECK,
        formatter_class=verbatim,
    )
    add = check.add_argument
    add("target", metavar="MODULE:LOSS", nargs="?", help="the function, of parameters to one number; see below")
    add("--torch", metavar="MODULE:FACTORY", help="check a PyTorch module instead; see below")
    add("--grad", metavar="MODULE:GRAD", help="its gradient, of the same parameters")
    add("--at", metavar="FILE", help="the parameters: .npz, .npy or .json, or numbers like 1.0,2.5")
    add("--signature", metavar="C", help="of the function in a native library")
    add("--grad-signature", metavar="C", help="of the gradient in a native library")
    add("--double", action="store_true", help="with --torch: convert to float64 for the time being")
    add("--mode", choices=["auto", "elementwise", "projected"], default="auto", help="default: auto")
    add("--budget", type=_positive, metavar="N", help="at most about N evaluations of the loss")
    add("--seed", type=int, default=0, help="of the random directions (default: 0)")
    add("--only", action="append", default=[], metavar="PATTERN", help="check these parameters alone")
    add("--exclude", action="append", default=[], metavar="PATTERN", help="leave these parameters out")
    add("--sample", type=_positive, metavar="N", help="check N entries chosen at random")
    add("--progress", action="store_true", help="show how far it has come, on stderr")
    add("--html", metavar="FILE", help="also write the report as a page")

    curve = subparsers.add_parser(
        "curve",
        help="the error of a finite difference against its step",
        description="Tries steps from 1e-16 to 1 at a point and prints the error of each method.",
        epilog=_CURVE,
        formatter_class=verbatim,
    )
    add = curve.add_argument
    add("target", metavar="MODULE:F", help="a function of one number or a vector; or LIBRARY:F, as for check")
    add("--at", metavar="X", required=True, help="where: 1.0, or 1.0,2.5, or a .npy file")
    add("--exact", metavar="D", help="the exact derivative: a number, or MODULE:DERIVATIVE")
    add("--methods", metavar="NAMES", help="separated by commas (default: forward,central,five-point)")
    add("--signature", metavar="C", help="of a function in a native library")
    add("--plot", metavar="FILE", help="also draw it: .png, .svg, .pdf")

    for command in (demo, check, curve):
        command.add_argument("--json", action="store_true", help="print the whole result as JSON")
        command.add_argument("--plain", action="store_true", help="no colours or boxes, even in a terminal")
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: see ``fdcore check --help``.
    """
    arguments = _parser().parse_args(argv)
    command = {"demo": commands.demo, "check": commands.check, "curve": commands.curve}[arguments.command]
    try:
        return command(arguments)
    except (UsageError, MissingExtraError) as error:
        print(f"fdcore: error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("fdcore: interrupted", file=sys.stderr)
        return INTERRUPTED
    except UserCodeError as error:
        traceback.print_exception(error.__cause__)
        print(f"fdcore: error: {error}", file=sys.stderr)
        return USAGE
