"""The command ``fdcore``: argument parsing only."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from fdcore.cli.target import UsageError, UserCodeError, load_object, load_params, write_text
from fdcore.cli.terminal import Terminal
from fdcore.errors import MissingExtraError

__all__ = ["main"]

AGREES, WRONG, CANNOT_TELL, USAGE = range(4)
INTERRUPTED = 130  # as shells have it

_EXIT_STATUS = """
exit status:
  0  the gradient agrees
  1  the gradient is wrong
  2  cannot tell (the reason is in the report)
  3  the command line is wrong, or the functions could not be loaded or called
"""

_EXAMPLE = """
example:
  # in model.py: def loss(params): ...   def grad(params): ...
  python -c "import numpy as np; np.savez('params.npz', W=np.ones((3, 2)), b=np.zeros(2))"
  fdcore check model:loss --grad model:grad --at params.npz

The functions get what the file holds: from .npz a dict of arrays by name, from .npy one array, from .json nested
lists and objects of numbers. The gradient has the same form. Nothing is unpickled.
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
    parser = _Parser(prog="fdcore", description="Numerical derivatives, and gradient checks that say what is wrong.")
    parser.add_argument("--version", action="version", version=f"fdcore {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    demo = commands.add_parser(
        "demo",
        help="fit two models to real data, check their gradients, catch a planted bug",
        description="Fits linear regression to NIST's Norris data and logistic regression to the Space Shuttle's "
        "O-rings, compares with the certified and published estimates, checks the analytic gradients, then plants a "
        "bug and shows the report that catches it. Exit status 0 if all of it went as it must, 1 if not.",
    )
    demo.add_argument("--plain", action="store_true", help="no colours or boxes, even in a terminal")

    check = commands.add_parser(
        "check",
        help="check an analytic gradient of your own against a numeric one",
        description="Checks a hand-written gradient against a numeric one.",
        epilog=_EXIT_STATUS + _EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("loss", metavar="MODULE:LOSS", help="the function, of parameters to one number")
    check.add_argument("--grad", metavar="MODULE:GRAD", required=True, help="its gradient, of the same parameters")
    check.add_argument("--at", metavar="FILE", required=True, help="the parameters: .npz, .npy or .json")
    check.add_argument("--mode", choices=["auto", "elementwise", "projected"], default="auto", help="default: auto")
    check.add_argument("--budget", type=_positive, metavar="N", help="at most about N evaluations of the loss")
    check.add_argument("--seed", type=int, default=0, help="of the random directions (default: 0)")
    check.add_argument("--only", action="append", default=[], metavar="PATTERN", help="check these parameters alone")
    check.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="leave these parameters out")
    check.add_argument("--sample", type=_positive, metavar="N", help="check N entries chosen at random")
    check.add_argument("--html", metavar="FILE", help="also write the report as a page")
    check.add_argument("--json", action="store_true", help="print the whole result as JSON")
    check.add_argument("--plain", action="store_true", help="no colours or boxes, even in a terminal")
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _demo(arguments: argparse.Namespace) -> int:
    from fdcore.models.demo import demo

    ok = True
    with _reader_may_leave():
        terminal = Terminal(sys.stdout, plain=arguments.plain)
        for section in demo():
            terminal.section(section)
            ok &= section.ok
        terminal.verdict(ok, "everything is as it must be" if ok else "something is not as it must be")
    return 0 if ok else 1


def _check(arguments: argparse.Namespace) -> int:
    from fdcore.check import check_gradient

    # What the user's code prints must not get between the lines of the result.
    with redirect_stdout(sys.stderr):
        loss, gradient = load_object(arguments.loss), load_object(arguments.grad)
        params = load_params(arguments.at)
        with UserCodeError.around("the check"):
            result = check_gradient(
                loss,
                gradient,
                params,
                mode=arguments.mode,
                budget=arguments.budget,
                seed=arguments.seed,
                only=arguments.only,
                exclude=arguments.exclude,
                sample=arguments.sample,
            )
    if arguments.html is not None:
        write_text(arguments.html, result.to_html())
    with _reader_may_leave():
        if arguments.json:
            print(result.to_json())
        else:
            Terminal(sys.stdout, plain=arguments.plain).report(result)
    return {"agrees": AGREES, "wrong": WRONG}.get(result.verdict, CANNOT_TELL)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Print as far as anybody, such as head, wants to read."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # or the interpreter complains at its end


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
    command = {"demo": _demo, "check": _check}[arguments.command]
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
