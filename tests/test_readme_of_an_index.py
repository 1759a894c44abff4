"""What a package index shows: the README in the metadata, in which every link goes somewhere or is none."""

import re
import shutil
import subprocess
import sys
from email import message_from_string
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)\s]+)\)")
HOME = "https://forge.example/mi-bsa"
MADE = "from setuptools.build_meta import prepare_metadata_for_build_wheel as made; print(made('.'))"


def metadata(folder: Path, home: str = ""):
    """The metadata that a build of these files gives; `home`: what pyproject.toml says of it."""
    for name in ("README.md", "LICENSE", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("mi_bsa", "probes", "activations", "configs"):
        (folder / name).mkdir()
    if home:
        project = folder / "pyproject.toml"
        said = project.read_text().replace(
            '# [project.urls]\n# Source = "..."', '[project.urls]\nSource = ""'
        )
        assert said != project.read_text(), "docs/releasing.md says which lines name the home"
        project.write_text(said.replace('Source = ""', f'Source = "{home}"'))
    done = subprocess.run([sys.executable, "-c", MADE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    path = folder / done.stdout.strip().splitlines()[-1] / "METADATA"
    return message_from_string(path.read_text(encoding="utf-8"))


def test_with_a_home_every_link_is_absolute(tmp_path: Path):
    """Each goes to the file at the tag of the version, an image to its bytes; the files are there."""
    said = metadata(tmp_path, HOME)
    assert said["Project-URL"] == f"Source, {HOME}"
    text, version = str(said.get_payload()), said["Version"]
    links = [(image, words, link) for image, words, link in LINK.findall(text)]
    assert len(links) > 30
    assert [link for _, _, link in links if not link.startswith("https://")] == []
    own = [(image, link.removeprefix(f"{HOME}/")) for image, _, link in links if link.startswith(HOME)]
    for image, link in own:
        kind, tag, path = link.split("/", 2)
        assert (kind, tag) == ("raw" if image else "blob", f"v{version}")
        assert (ROOT / path.partition("#")[0]).exists()
    assert {bool(image) for image, _ in own} == {True, False}


def test_without_a_home_no_link_is_broken(tmp_path: Path):
    """As it is now: words alone, of figures what they show; links to elsewhere stay."""
    said = metadata(tmp_path)
    assert said["Project-URL"] is None
    text = str(said.get_payload())
    assert said["Description-Content-Type"] == "text/markdown"
    assert "*Figure: What each arm chooses" in text
    assert "the log" in text
    assert [link for _, _, link in LINK.findall(text) if not link.startswith("https://")] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    outside = [link for _, _, link in LINK.findall(readme) if link.startswith("https://")]
    assert [link for _, _, link in LINK.findall(text)] == outside


def test_the_readme_has_no_link_that_is_not_read():
    """Links are written as the build reads them: no references, no HTML, no own heads."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^\[[^\]]+\]:\s|<(a|img)\s|\]\(#", text, re.MULTILINE) is None
    assert text.count("](") == len(LINK.findall(text))


def test_the_release_steps_say_where_the_home_is_set():
    """One place, which the metadata is made from."""
    assert "`[project.urls]`" in (ROOT / "docs/releasing.md").read_text(encoding="utf-8")
