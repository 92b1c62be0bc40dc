"""The command line: one module per command, which parses, calls and prints.

Nothing heavy is imported here or at the top of a command's module, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import typer
from typer.exceptions import TyperException

from heatlift import __version__
from heatlift.allocation import keep_freed_memory
from heatlift.cli.audit import audit
from heatlift.cli.check import check
from heatlift.cli.demo import demo
from heatlift.cli.explain import explain
from heatlift.cli.finetune import finetune
from heatlift.cli.lift import lift
from heatlift.cli.report import report
from heatlift.cli.reproduce import reproduce
from heatlift.cli.undesirable import undesirable
from heatlift.cli.view import view
from heatlift.errors import HeatliftError, device_failure, first_line, shown

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, as shells have it."""

GOES_ON = "what is finished is kept, the same command goes on from there"

FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "no space left in the quota", errno.EFBIG: "too large"}
"""Failures to write after which nothing but room is wanted."""

app = typer.Typer(
    name="heatlift",
    help="Heatmaps that lift an image classifier's confidence: made, measured, and audited.",
    epilog="Start with: heatlift demo. Every command has --help with an example.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[Callable[..., Any], str] = {
    demo: "See it at work on photographs that come with it.",
    audit: "Measure which heatmaps tell right from wrong predictions.",
    lift: "Heatmaps that raise a class: what would make it (more) right?",
    undesirable: "Masks of what stands in a class's way: what is worth blurring?",
    explain: "What does it see in one image, and what is in the way?",
    report: "Write the report of a run, or compare several audits.",
    view: "Look at runs in the browser.",
    check: "Say what a network is, and which methods work on it.",
    finetune: "Train a network on classes of your own.",
    reproduce: "Measure a paper's figures and tables anew.",
}
"""Every command, with what the list of commands says of it: a line of a terminal has no room for more."""

for command, summary in COMMANDS.items():
    app.command(command.__name__, short_help=summary)(command)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        print(f"heatlift {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 something is wrong with the result, 2 it could not start."""
    keep_freed_memory()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    status = run(sys.argv[1:] if arguments is None else arguments)
    sys.exit(128 + _stopped_by[0] if status == INTERRUPTED and _stopped_by else status)


_stopped_by: list[int] = []
"""The signal that this process is ending on."""


def _stop(number: int, frame: FrameType | None) -> None:
    """End on a signal as after Ctrl-C: workers are ended, too. Another one ends it at once."""
    _stopped_by.append(number)
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit status; whatever goes wrong becomes one line."""
    for argument in arguments:
        if not argument.isprintable() and argument != argument.encode(errors="replace").decode():
            # No record or report could say it.
            _complain(f"'{argument}' is not in UTF-8: rename it")
            return 2
    try:
        status = app(arguments or ["--help"], prog_name="heatlift", standalone_mode=False)
    except TyperException as error:
        known = [command.name for command in app.registered_commands]
        about = [argument for argument in arguments[:1] if argument in known]
        _complain(_plain(error.format_message()), f"{' '.join(['heatlift', *about, '--help'])} shows how")
        return 2
    except HeatliftError as error:
        _complain(str(error))
        return 2
    except OSError as error:
        what, where = error.strerror or first_line(error), f": {error.filename}" if error.filename else ""
        if error.errno in FULL:
            _complain(f"{FULL[error.errno]}{where}", f"make room; {GOES_ON}")
        else:
            _complain(f"{what}{where}")
        return 2
    except UnicodeEncodeError as error:
        around = str(error.object)[max(0, error.start - 60) : error.end + 20]
        _complain(f"'{around}' can't be written in UTF-8: rename that file or folder")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except Exception as error:
        if os.environ.get("HEATLIFT_DEBUG"):
            raise
        if failure := device_failure(error):
            _complain(str(failure))
            return 2
        _complain(
            f"unexpected {type(error).__name__}: {first_line(error)}",
            "HEATLIFT_DEBUG=1 shows where; please report it",
        )
        return 1
    if status == INTERRUPTED:
        _complain(f"stopped; {GOES_ON}")
    return status if isinstance(status, int) else 0


def _plain(message: str) -> str:
    """Typer's words for a wrong choice as all other options have them; any other message as it is.

    >>> _plain("Invalid value for '--engine': Value error, 'spark' is not one of 'local', 'dask'.")
    "--engine 'spark': choose from local, dask"
    """
    found = re.fullmatch(r"Invalid value for '([^']+)': Value error, (.*) is not one of (.*?)\.?", message)
    return f"{found[1]} {found[2]}: choose from {found[3].replace(chr(39), '')}" if found else message


def _complain(what: str, hint: str = "") -> None:
    line = shown(" ".join(what.split()), 2000)
    print(f"heatlift: {line}{f' ({hint})' if hint else ''}", file=sys.stderr)
