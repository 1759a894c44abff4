"""The command `mi-bsa`: a group whose subcommands are imported only when they are called.

The law it keeps: help of any command imports no config and answers at once (`helps`), and every error leaves
through one place, `describe`: a user's mistake is one line on stderr and exit code 2, never a traceback; a
failure of ours is exit code 1, with the traceback under `mi-bsa --debug`.
"""

import contextlib
import difflib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import click

from mi_bsa.cli.helps import kept
from mi_bsa.cli.manner import dress
from mi_bsa.core.machine_faults import machine_fault

SUMMARIES = {
    "study": "Run a study: behavior, self-report, and what links them.",
    "finetune": "Train LoRA adapters: arms x seeds, completion-only loss.",
    "self-report": "Ask a model about itself; say whether it may be read.",
    "ask": "Ask imported questions, free or closed; judge the answers.",
    "cache": "Build, check, repack or describe an activation cache.",
    "probe": "Train, test or sweep probes on activation caches.",
    "steer": "Add directions beside random directions, as a dose curve.",
    "patch": "Patch one run's activations into another: layer x position.",
    "backdoor": "Detect, recognize, elicit, search for or audit backdoors.",
    "inspect": "Say what adapters changed: weights, lenses, reports, damage.",
    "concepts": "Put words into a model: does it name one, and which?",
    "lens": "Read differences, weights or directions in words.",
    "embedded": "Build or describe the small Llama that ships.",
    "data": "Build, import or list training data.",
    "model": "Get real models by name or from a GGUF file; list them.",
    "report-adapter": "Train a LoRA that makes finetunes say what they learned.",
    "zoo": "Adapters of known truth, by name: list, get, build.",
    "report": "Render a run's report page again, or compare two runs.",
    "config": "Built-in configs: list, show; JSON schemas for editors.",
    "init": "Begin with your own model and data: config, behavior file.",
}
"""Every subcommand and its line in `mi-bsa --help`; `a-b` is `a_b` in the module `mi_bsa.cli_a_b`."""

USER_ERRORS = (
    ("mi_bsa.core.errors", "MiBsaError"),
    ("probes.errors", "ProbesError"),
    ("activations.errors", "ActivationsError"),
    ("yaml", "YAMLError"),
    ("pydantic", "ValidationError"),
)
"""Error classes that mean a user's mistake, by name: one can only be raised where its module is loaded."""


class LazyGroup(click.Group):
    """A group that knows its subcommands by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the subcommands whose module exists."""
        return [name for name in SUMMARIES if find_spec(_module(name)) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand, or None where there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(_module(cmd_name))
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return dress(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand; a mistyped one is told with the nearest name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], SUMMARIES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of subcommands from `SUMMARIES` alone, so that help imports nothing."""
        rows = [(name, SUMMARIES[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of every error.")
@click.version_option(package_name="mi-bsa")
def cli(debug: bool) -> None:
    """Does a model's description of itself read the state that drives its behavior?

    \b
    mi-bsa study embedded/risk_short   the main job, on the small model that ships
    mi-bsa init mine                   a config for your own model and data
    mi-bsa COMMAND --help              flags; --set KEY.PATH=VALUE says any field
    """


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of ours as one line; others as Python writes them."""
    if category.__module__.partition(".")[0] in ("activations", "probes", "mi_bsa"):
        return f"mi-bsa: warning: {_one_line(str(message))}\n"
    return _PYTHONS(message, category, filename, lineno, line)


_PYTHONS = warnings.formatwarning


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0, 2 for a user's mistake, 1 for ours, 130 when interrupted; 141, as is
    usual, where who reads the output has gone.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    shown = sys.stdout
    if hasattr(sys.stdout, "reconfigure"):  # a name that its encoding cannot spell is escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _warning
    try:
        told = None if "_MI_BSA_COMPLETE" in os.environ else kept(given)
        if told is not None:
            print(told, end="")
        code = cli.main(args=given, prog_name="mi-bsa", standalone_mode=False) if told is None else 0
        sys.stdout.flush()
    except SystemExit as error:  # click ends by its own exceptions, but for the first two of these
        if "_MI_BSA_COMPLETE" in os.environ:  # a shell asks what may stand here
            raise
        if sys.stdout is not shown:  # it has put another there, since nobody reads this one
            _drop(shown)
            sys.exit(141)
        named = "code that is named here, such as a behavior's file,"
        print(f"mi-bsa: {named} ended the process (exit code {error.code}); mend it", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        _drop(sys.stdout)
        sys.exit(141)
    except (click.Abort, KeyboardInterrupt):
        goes_on = "the same command" if "model" in given[:2] else "the same command with --resume"
        print(f"mi-bsa: interrupted; {goes_on} continues", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if "--debug" in given:
            traceback.print_exc()
        message, code = describe(error)
        if code == 1 and "--debug" not in given:
            message += "; `mi-bsa --debug ...` shows the traceback"
        try:
            sys.stdout.flush()
        except OSError:  # the disk that it goes to is full
            _drop(sys.stdout)
        print(f"mi-bsa: {message}", file=sys.stderr)
        sys.exit(code)
    sys.exit(code if isinstance(code, int) else 0)


def describe(error: BaseException) -> tuple[str, int]:
    """An error as one line and an exit code: the only place where errors are judged.

    Args:
        error: what a command raised.

    Returns:
        The line, without a prefix, and 2 where the user can mend it, else 1.
    """
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "mi-bsa"
        return _one_line(f"{error.format_message()} (see `{where} --help`)"), 2
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), 2
    if _is_loaded_instance(error, "pydantic", "ValidationError"):
        from mi_bsa.core.config import explain

        return _one_line(explain(error)), 2  # type: ignore[arg-type]
    if any(_is_loaded_instance(error, module, name) for module, name in USER_ERRORS):
        return _one_line(str(error)), 2
    told = machine_fault(error)
    if told is not None:
        return _one_line(told), 2
    ours = "(a failure of the toolkit, not of what was given)"
    return f"{_one_line(f'{type(error).__name__}: {error}')} {ours}", 1


def _module(command: str) -> str:
    return f"mi_bsa.cli.{command.replace('-', '_')}"


def _is_loaded_instance(error: BaseException, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)


def _drop(stream: Any) -> None:
    """Forget what a stream still holds, so that the interpreter does not try to write it when it ends."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _one_line(text: str) -> str:
    """A text in one line, without control characters, which a file may have brought in."""
    return " ".join("".join(c if c.isprintable() else " " for c in text.replace("\ufeff", " ")).split())
