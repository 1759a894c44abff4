"""`-q`, `-v` and `--json`: how much a command says, and in which form."""

import json
import warnings
from pathlib import Path

import click
import pytest

from activations import testing
from mi_bsa.cli.command import cli, main
from mi_bsa.core import record, results
from mi_bsa.core.errors import RenamedKeyWarning
from mi_bsa.core.results import Result
from mi_bsa.study.study import Study


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """`run(*arguments)`: what is on stdout and on stderr, in an empty folder; `code=` where it is not 0."""
    monkeypatch.chdir(tmp_path)

    def ran(*arguments, code=0):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        shown = capsys.readouterr()
        assert left.value.code == code, shown.err
        return shown.out, shown.err

    return ran


@pytest.fixture
def finished(monkeypatch):
    """Studies that are finished at once, with one number and one verdict."""

    def at_once(study, config, out, **more):
        record.start(out, config=config, resume=False, seeds=[0], revisions={}).release()
        found = Result("cache.rows", {"variant": "base"}, 3, None, "none: a count", 3, "rows")
        results.write([found], out)
        verdict = {"conjecture": "It holds.", "verdict": "undecided", "because": "of a test"}
        (out / "verdicts.json").write_text(json.dumps([verdict]))
        (out / "report.html").write_text("a page")
        return out / "report.html"

    monkeypatch.setattr(Study, "run", at_once)


def test_json_is_what_the_files_say(run, finished):
    """One object on stdout, whatever folder the study chose; the lines for people are on stderr."""
    out, err = run("study", "embedded/risk_short", "--json")
    said = json.loads(out)
    assert (said["out"], said["report"]) == ("runs/risk_short", "runs/risk_short/report.html")
    assert said["results"] == json.loads(Path("runs/risk_short/results.json").read_text())
    assert said["verdicts"][0]["verdict"] == "undecided"
    assert "UNDECIDED" in err


def test_quiet_says_nothing(run, finished):
    """Neither lines nor progress; an error is still one line, and its exit code is what it was."""
    assert run("study", "embedded/risk_short", "-q") == ("", "")
    assert "UNDECIDED" in run("study", "embedded/risk_short", "--out", "b")[0]
    out, err = run("study", "embedded/risk_shrt", "-q", code=2)
    assert (out, len(err.splitlines())) == ("", 1)


def test_a_cache_tells_its_numbers(run):
    """Of a cache the results lie beside it, and are found."""
    testing.build("tiny")
    Path("p.jsonl").write_text(json.dumps({"id": "a", "text": "the you"}))
    command = ("cache", "build", "--model", "tiny", "--prompts", "p.jsonl", "--sites", "resid_post.0")
    said = json.loads(run(*command, "--out", "a.h5", "--json")[0])
    assert said["results"][0]["name"] == "cache.rows"
    out, err = run(*command, "--out", "b.h5", "-q")
    assert out == ""
    assert "reading" not in err


def test_verbose_shows_where_a_warning_comes_from(run, finished, monkeypatch):
    """With its file and line and not in one line of ours; afterwards warnings are as they were."""
    before, at_once = warnings.formatwarning, Study.run

    def warns(*given, **named):
        click.echo(warnings.formatwarning("look here", RenamedKeyWarning, "a.py", 3))
        return at_once(*given, **named)

    monkeypatch.setattr(Study, "run", warns)
    assert "a.py:3: RenamedKeyWarning: look here" in run("study", "embedded/risk_short", "-v")[0]
    assert "mi-bsa: warning: look here" in run("study", "embedded/risk_short")[0]
    warnings.formatwarning = before


def test_mistyped_models_and_sites_are_told_with_the_nearest(run):
    """At the level of values too."""
    Path("p.jsonl").write_text(json.dumps({"id": "a", "text": "x"}))
    command = ("cache", "build", "--prompts", "p.jsonl", "--out", "a.h5")
    err = run(*command, "--model", "embeded", "--sites", "resid_post.0", code=2)[1]
    assert "did you mean 'embedded'?" in err
    err = run(*command, "--model", "embedded", "--sites", "resid_pst.0", code=2)[1]
    assert "did you mean 'resid_post'?" in err


@pytest.mark.parametrize("flags", [("-q", "-v"), ("--json", "--dry-run"), ("--json", "--plan")])
def test_flags_that_contradict_each_other_are_refused(run, flags):
    """In one line."""
    out, err = run("study", "embedded/risk_short", *flags, code=2)
    assert (out, len(err.splitlines())) == ("", 1)


def test_every_command_that_writes_has_them():
    """Each command with `--out` takes the three flags, once."""

    def leaves(command, name):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for one in command.list_commands(context):
                yield from leaves(command.get_command(context, one), f"{name} {one}")
        else:
            yield name, command

    seen = 0
    for name, command in leaves(cli, "mi-bsa"):
        flags = [flag for option in command.params for flag in option.opts]
        if "--out" in flags:
            seen += 1
            assert all(flags.count(flag) == 1 for flag in ("-q", "-v", "--json")), name
    assert seen > 15
