"""The command line: light, and every mistake one line."""

import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import yaml
from pydantic import BaseModel

from mi_bsa.cli import helps
from mi_bsa.cli.command import SUMMARIES, cli, describe, main
from mi_bsa.core.errors import ConfigError

HEAVY = ("torch", "transformers", "peft", "sklearn", "scipy", "pandas", "matplotlib", "pydantic", "nnsight")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mi_bsa.cli", *arguments], capture_output=True, text=True)


def test_help_is_light():
    """`mi-bsa --help` imports no framework; help of any command no config either, and nothing of ours but the
    command line.
    """
    code = (
        "import io, sys\n"
        "from contextlib import redirect_stdout, suppress\n"
        "from mi_bsa.cli.command import SUMMARIES, main\n"
        "shown = io.StringIO()\n"
        "asked = [['--help'], *([name, '--help'] for name in SUMMARIES), ['backdoor', 'search', '-h']]\n"
        "with redirect_stdout(shown):\n"
        "    for arguments in asked:\n"
        "        with suppress(SystemExit):\n"
        "            main(arguments)\n"
        "assert shown.getvalue().count('Usage: mi-bsa') == len(asked)\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in "
        f"('mi_bsa', 'activations', 'probes', 'numpy', 'yaml', *{HEAVY})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = {"command", "completing", "helps", "manner"}
    allowed = {"mi_bsa", "mi_bsa.cli", "mi_bsa.core", "mi_bsa.core.machine_faults"}
    assert set(done.stdout.split()) <= allowed | {f"mi_bsa.cli.{name}" for name in light}


def test_kept_help_is_that_of_a_wide_terminal(monkeypatch: pytest.MonkeyPatch):
    """Both ways of asking; on a narrow terminal, and of what is no command, the command itself answers."""
    monkeypatch.setenv("COLUMNS", "120")
    found = helps.kept(["backdoor", "search", "--help"])
    assert found is not None
    assert found.startswith("Usage: mi-bsa backdoor search")
    assert helps.kept(["backdoor", "search", "-h"]) == found
    for other in (["--help"], ["studdy", "--help"], ["study", "x.yaml", "--help"], ["study"], []):
        assert helps.kept(other) is None
    monkeypatch.setenv("COLUMNS", "60")
    assert helps.kept(["backdoor", "search", "--help"]) is None


def test_help_of_every_command_is_light():
    """Flags come from configs, and no config imports a framework of models, tables, statistics or figures."""
    heavy = (*(name for name in HEAVY if name != "pydantic"), "statsmodels", "h5py", "transformer_lens")
    code = (
        "import sys\n"
        "import click\n"
        "from mi_bsa.cli.command import cli\n"
        "def look(command, name):\n"
        "    context = click.Context(command, info_name=name)\n"
        "    command.get_help(context)\n"
        f"    heavy = [one for one in {heavy} if one in sys.modules]\n"
        "    print(name, *heavy, sep=', ')\n"
        "    assert not heavy\n"
        "    for one in command.list_commands(context) if isinstance(command, click.Group) else ():\n"
        "        look(command.get_command(context, one), f'{name} {one}')\n"
        "look(cli, 'mi-bsa')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shown = done.stdout.splitlines()
    assert done.returncode == 0, f"{shown[-1]}\n{done.stderr}"
    assert {f"mi-bsa {name}" for name in SUMMARIES} | {"mi-bsa backdoor search"} <= set(shown)


def test_help_is_quick():
    """`mi-bsa --help` answers within half a second, the best of five tries on a busy machine."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert run("--help").returncode == 0
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5


def test_a_reader_that_has_gone_is_no_fault():
    """Who reads the output may leave, as `head` does: exit code 141 and not a word on stderr."""
    code = "from mi_bsa.cli.command import main; main(['model', 'list'])"
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-u", "-c", code], **piped)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 141)
    process.stderr.close()


def test_help_lists_what_exists():
    """Help lists the commands whose module exists, each with its line, and no other."""
    shown = run("--help").stdout
    folder = Path(__file__).parents[3] / "mi_bsa"
    for name, line in SUMMARIES.items():
        exists = (folder / "cli" / f"{name.replace('-', '_')}.py").exists()
        assert (f"\n  {name} " in shown) == exists
        assert not exists or line.split()[0] in shown


def test_lazy_commands_load():
    """Every listed command is a click command of its own name."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert isinstance(command, click.Command)
        assert command.name == name


@pytest.mark.parametrize("arguments", [["stdy"], ["--no-such-option"]])
def test_usage_error_is_one_line(arguments: list[str]):
    """A mistyped command or option is one line on stderr and exit code 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("mi-bsa: ")
    assert len(done.stderr.strip().splitlines()) == 1


def _yaml_error() -> yaml.YAMLError:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load("a: [")
    return caught.value


def _validation_error() -> ValueError:
    class Model(BaseModel):
        rank: int

    with pytest.raises(ValueError, match="rank") as caught:
        Model.model_validate({"rank": "four"})
    return caught.value


def test_users_errors_are_two():
    """Every error that a user can mend is one line with exit code 2."""
    from activations.errors import ActivationsError
    from probes.errors import ProbesError

    users = [
        ConfigError("a\n  b"),
        ActivationsError("x"),
        ProbesError("x"),
        _yaml_error(),
        _validation_error(),
    ]
    users += [FileNotFoundError(2, "No such file or directory", "/nowhere/x.yaml"), click.UsageError("no")]
    for error in users:
        line, code = describe(error)
        assert code == 2, error
        assert "\n" not in line


def test_our_errors_are_one():
    """A failure of the toolkit, or a missing file of its own, is exit code 1."""
    ours = Path(sys.modules["mi_bsa.cli.command"].__file__ or "").parent / "template.html"
    for error in (
        ZeroDivisionError("x"),
        FileNotFoundError(2, "No such file", str(ours)),
        RuntimeError("a\nb"),
    ):
        line, code = describe(error)
        assert code == 1
        assert "\n" not in line


@pytest.mark.parametrize(("flag", "shown"), [([], False), (["--debug"], True)])
def test_traceback_only_with_debug(
    flag: list[str], shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A traceback is shown with --debug and never without."""

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("mi_bsa.cli.command.LazyGroup.get_command", lambda self, ctx, name: broken)
    with pytest.raises(SystemExit) as left:
        main([*flag, "study"])
    printed = capsys.readouterr().err
    assert left.value.code == 1
    assert ("Traceback" in printed) == shown
    assert printed.splitlines()[-1].startswith("mi-bsa: ZeroDivisionError: planted")
