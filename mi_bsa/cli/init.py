"""`mi-bsa init`: a folder to begin with, for one's own model and data."""

from pathlib import Path

import click

from mi_bsa.core.errors import RunFolderError

STARTER = Path(__file__).with_name("starter")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--model", default="embedded", show_default=True, help="The base that the study is of.")
@click.option("--behavior", help="What is trained.  [default: risk; FOLDER/behavior.py:MINE of another base]")
def init(folder: Path, model: str, behavior: str | None) -> None:
    """Write a study's config and a behavior file into a new FOLDER, with comments.

    `mi-bsa init mine && mi-bsa study mine/study.yaml` ends with a report page, on the model that ships.
    FOLDER gets study.yaml, behavior.py (situations, options and words to replace by one's own) and
    study.schema.json, by which an editor completes and checks the config.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(f"{folder}: exists already; give the name of a new folder")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from mi_bsa.behaviors import vocabulary_of
    from mi_bsa.core.config import schema
    from mi_bsa.core.files import write_atomic, write_json
    from mi_bsa.study.registry import named

    embedded = vocabulary_of(model) == "embedded"
    own = f"{folder.as_posix()}/behavior.py:MINE"
    given = {
        "folder": folder.as_posix(),
        "name": folder.resolve().name,
        "model": model,
        "embedded": embedded,
        "behavior": behavior or ("risk" if embedded else own),
    }
    made = Environment(
        loader=FileSystemLoader(STARTER),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("study.yaml", "behavior.py"):
        write_atomic(folder / name, made.get_template(f"{name}.jinja").render(given))
    write_json(folder / "study.schema.json", schema(named("behavior").config))
    for name, told in (
        ("study.yaml", f"the config: mi-bsa study {folder.as_posix()}/study.yaml"),
        ("behavior.py", f"a behavior: mi-bsa data build {own} --rows 100 --items 32 --out {folder}/data"),
        ("study.schema.json", "the config's schema, for editors"),
    ):
        click.echo(f"{folder / name}  {told}")
