"""Finding plugins: entry points and a directory with good, bad and odd files."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from streamserver.config.settings import PluginsSettings
from streamserver.plugins.discovery import Discovered, discover

GOOD = """
from pydantic import BaseModel

class Settings(BaseModel):
    greeting: str = "hello"

class plugin:
    name = "NAME"
    settings_model = Settings
    async def start(self, managers, settings): ...
    async def shutdown(self): ...
"""


def write(directory: Path, **files: str) -> Discovered:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    return discover(PluginsSettings(enabled=True, dir=directory))


def reason(discovered: Discovered, name: str) -> str:
    return next(failure.reason for failure in discovered.failures if failure.name == name)


def test_what_is_installed_is_found_without_a_directory() -> None:
    discovered = discover(PluginsSettings())
    assert "scaletozero" in discovered.found
    assert discovered.found["scaletozero"].source.startswith("entry point scaletozero")
    assert discovered.failures == ()


def test_the_directory_is_looked_at_only_when_enabled(tmp_path: Path) -> None:
    write(tmp_path, hello=GOOD.replace("NAME", "hello"))
    assert "hello" not in discover(PluginsSettings(enabled=False, dir=tmp_path)).found


def test_files_and_packages_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    package = tmp_path / "middle"
    package.mkdir()
    (package / "__init__.py").write_text("from .inside import plugin\n")
    (package / "inside.py").write_text(GOOD.replace("NAME", "packaged"))
    (tmp_path / "notes.txt").write_text("no plugin")
    (tmp_path / "_private.py").write_text("raise SystemExit")
    (tmp_path / "folder").mkdir()
    discovered = write(tmp_path, alpha=GOOD.replace("NAME", "first"), zulu=GOOD.replace("NAME", "last"))
    assert [name for name, found in discovered.found.items() if str(tmp_path) in found.source] == [
        "first",
        "packaged",
        "last",
    ]
    assert discovered.failures == ()


def test_models_are_there_for_all_and_lenient_for_what_could_not_be_loaded(tmp_path: Path) -> None:
    models = write(tmp_path, hello=GOOD.replace("NAME", "hello"), broken="import nothing_like_this").models()
    assert models["hello"]().model_dump() == {"greeting": "hello"}
    assert issubclass(models["scaletozero"], BaseModel)
    models["broken"].model_validate({"any": "thing"})


def test_of_two_with_one_name_the_first_wins(tmp_path: Path) -> None:
    discovered = write(tmp_path, one=GOOD.replace("NAME", "same"), two=GOOD.replace("NAME", "same"))
    assert discovered.found["same"].source.endswith("one.py")
    assert "one.py; the first one is used" in reason(discovered, "same")
    assert discovered.models()["same"]().model_dump() == {"greeting": "hello"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def", "SyntaxError"),
        ("import nothing_like_this", "nothing_like_this"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('bye')", "bye"),
        ("x = 1", "exposes no 'plugin'"),
        ("plugin = 7", "must be the plugin's class"),
        (GOOD.replace("NAME", "Not A Name"), "'Not A Name'; a name looks like"),
        (GOOD.replace('"NAME"', "None"), "named None"),
        (GOOD.replace("NAME", "server"), "is taken by the server's own settings"),
        (
            GOOD.replace("NAME", "ok").replace("settings_model = Settings", "settings_model = dict"),
            "pydantic",
        ),
        (GOOD.replace("NAME", "ok").replace("async def shutdown(self): ...", ""), "no method 'shutdown'"),
        (GOOD.replace("NAME", "ok") + "    depends_on = 'chat'\n", "must be a list"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_else_suffers(tmp_path: Path, text: str, says: str) -> None:
    discovered = write(tmp_path, bad=text, good=GOOD.replace("NAME", "good"))
    assert says in reason(discovered, "bad")
    assert "good" in discovered.found


def test_a_directory_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    discovered = discover(PluginsSettings(enabled=True, dir=tmp_path / "none"))
    assert "plugins.dir" in discovered.failures[0].reason
    assert str(tmp_path / "none") in discovered.failures[0].reason
