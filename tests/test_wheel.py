"""The wheel and the sdist, installed in an environment outside of the repository, in an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel that is built from it."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return out


def installed(what: Path, folder: Path):
    """`run(*command)` in a new environment that holds this package alone of its own; its libraries are read
    where they lie, so that torch is not fetched again.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    paths = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    here = folder / "empty"
    here.mkdir()
    python = folder / "env/bin/python"
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean |= {"PATH": f"{folder / 'env/bin'}:{os.environ['PATH']}", "MI_BSA_MEASURE": "0"}

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=here, env=clean)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    offline = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *offline, str(what)],
        check=True,
        cwd=here,
        env=clean,
    )
    assert Path(run("python", "-c", "import mi_bsa; print(mi_bsa.__file__)")).is_relative_to(site)
    return run, here


@pytest.fixture(scope="module")
def wheel(built, tmp_path_factory):
    """`run(*command)` where the wheel is installed, and the empty folder that it runs in."""
    return installed(next(built.glob("*.whl")), tmp_path_factory.mktemp("wheel"))


@pytest.mark.pages
def test_the_wheel_holds_all_that_the_packages_hold(built):
    """Every file of the three packages, and `configs/` inside of `mi_bsa`; nothing else."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    top = ("mi_bsa/", "probes/", "activations/")
    wanted = {name for name in tracked if name.startswith(top)}
    wanted |= {f"mi_bsa/{name}" for name in tracked if name.startswith("configs/")}
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    assert {name for name in names if ".dist-info/" not in name} == wanted


@pytest.mark.pages
def test_the_sdist_holds_docs_and_tests(built):
    """All that is tracked but for what only a checkout needs."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert {name for name in tracked if not name.startswith(".")} <= names


@pytest.mark.pages
def test_the_sdist_installs(built, tmp_path):
    """Installed by itself, it finds its configs by name."""
    run, _ = installed(next(built.glob("*.tar.gz")), tmp_path)
    assert "embedded/risk_short" in run("mi-bsa", "config", "list")


@pytest.mark.pages
def test_the_wheel_answers_outside_of_the_repository(wheel):
    """Help, configs by name, a folder to begin with and its dry run, in an empty folder."""
    run, here = wheel
    assert "mi-bsa study embedded/risk_short" in run("mi-bsa")
    assert "embedded/risk_short" in run("mi-bsa", "config", "list")
    run("mi-bsa", "init", "mine")
    assert "steps to run" in run("mi-bsa", "study", "mine/study.yaml", "--dry-run")
    assert not (here / "runs").exists()
    shutil.rmtree(here / "mine")


@pytest.mark.slow
def test_a_study_by_name_ends_with_a_page(wheel):
    """From nothing but the wheel, in an empty folder: `mi-bsa study embedded/risk_short`."""
    run, here = wheel
    told = run("mi-bsa", "study", "embedded/risk_short", "--out", "x")
    assert "report: x/report.html" in told
    assert (here / "x/report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_folder_to_begin_with_ends_with_a_page(wheel):
    """From nothing but the wheel, in an empty folder: `mi-bsa init mine && mi-bsa study mine/study.yaml`."""
    run, here = wheel
    run("mi-bsa", "init", "mine")
    told = run("mi-bsa", "study", "mine/study.yaml")
    assert "report: runs/mine/report.html" in told
    assert (here / "runs/mine/report.html").is_file()
