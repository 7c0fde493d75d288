"""The life of plugins: order, containment, bounds, services."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from streamserver.config import Settings
from streamserver.config.settings import PluginsSettings
from streamserver.plugins.contract import Managers, Plugin, PluginError, ServiceUnavailableError
from streamserver.plugins.discovery import Discovered, Found, NotLoaded
from streamserver.plugins.health import HealthRegistry
from streamserver.plugins.manager import PluginManager
from tests.waiting import until

if TYPE_CHECKING:
    from streamserver.api.app import ApiManager
    from streamserver.sessions.manager import SessionManager
    from streamserver.websocket.manager import WebSocketManager


class Greeting(BaseModel):
    text: str = "hello"


class Recorded:
    """A plugin that writes down what happens to it."""

    settings_model: type[BaseModel] = Greeting

    def __init__(self, name: str, diary: list[str], depends_on: Sequence[str] = ()) -> None:
        self.name = name
        self.diary = diary
        self.depends_on = depends_on
        self.settings: BaseModel | None = None
        self.managers: Managers | None = None

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        self.settings, self.managers = settings, managers
        self.diary.append(f"+{self.name}")

    async def shutdown(self) -> None:
        self.diary.append(f"-{self.name}")

    def service(self) -> object:
        return f"the service of {self.name}"


class Failing(Recorded):
    async def start(self, managers: Managers, settings: BaseModel) -> None:
        await super().start(managers, settings)
        raise RuntimeError("no such printer")

    async def shutdown(self) -> None:
        await super().shutdown()
        raise RuntimeError("still no printer")


class Stuck(Recorded):
    """Does not end, and does not even obey its cancellation."""

    async def shutdown(self) -> None:
        await super().shutdown()
        for _ in range(2):
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                self.diary.append(f"!{self.name}")


class Forever(Recorded):
    async def start(self, managers: Managers, settings: BaseModel) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def managers(tmp_path: Path) -> Managers:
    return Managers(
        sessions=cast("SessionManager", object()),
        websocket=cast("WebSocketManager", object()),
        api=cast("ApiManager", object()),
        registry=CollectorRegistry(),
        run_dir=tmp_path,
        health=HealthRegistry(),
    )


@pytest.fixture
def diary() -> list[str]:
    return []


def manager_of(
    *plugins: Plugin, required: bool = False, failures: Sequence[NotLoaded] = (), **sections: BaseModel
) -> PluginManager:
    settings = Settings(plugins=PluginsSettings(required=required), plugin_settings=sections)
    discovered = Discovered({plugin.name: Found(plugin, "a test") for plugin in plugins}, failures)
    return PluginManager(discovered, settings, start_timeout=0.3, shutdown_timeout=0.3)


def states(manager: PluginManager) -> dict[object, object]:
    return {row["name"]: row["state"] for row in manager.describe()}


async def test_started_in_order_and_stopped_in_reverse(managers: Managers, diary: list[str]) -> None:
    manager = manager_of(Recorded("chat", diary, ["files"]), Recorded("files", diary), Recorded("x", diary))
    await manager.start(managers)
    await manager.shutdown()
    await manager.shutdown()
    assert diary == ["+files", "+chat", "+x", "-x", "-chat", "-files"]


async def test_one_failure_skips_those_behind_it_and_nobody_else(
    managers: Managers, diary: list[str]
) -> None:
    manager = manager_of(
        Failing("bad", diary),
        Recorded("behind", diary, ["bad"]),
        Recorded("further", diary, ["behind"]),
        Recorded("good", diary),
    )
    await manager.start(managers)
    assert states(manager) == {"bad": "failed", "behind": "skipped", "further": "skipped", "good": "started"}
    reasons = {row["name"]: row["reason"] for row in manager.describe()}
    assert "no such printer" in str(reasons["bad"])
    assert "'bad', which is failed" in str(reasons["behind"])
    assert diary == ["+bad", "-bad", "+good"]
    await manager.shutdown()
    assert diary[-1] == "-good"


async def test_circles_and_missing_ones_are_skipped_with_the_path(
    managers: Managers, diary: list[str]
) -> None:
    manager = manager_of(
        Recorded("a", diary, ["b"]),
        Recorded("b", diary, ["a"]),
        Recorded("c", diary, ["gone"]),
        Recorded("good", diary),
    )
    await manager.start(managers)
    assert diary == ["+good"]
    reasons = {row["name"]: str(row["reason"]) for row in manager.describe()}
    assert "a -> b -> a" in reasons["a"]
    assert "c -> gone" in reasons["c"]


async def test_required_makes_a_failure_fatal_and_undoes_what_had_started(
    managers: Managers, diary: list[str]
) -> None:
    manager = manager_of(Recorded("good", diary), Failing("bad", diary), required=True)
    with pytest.raises(PluginError, match=r"plugins\.required .*bad: start raised .*no such printer"):
        await manager.start(managers)
    assert diary == ["+good", "+bad", "-bad", "-good"]


async def test_required_makes_what_was_not_loaded_fatal(managers: Managers) -> None:
    manager = manager_of(required=True, failures=[NotLoaded("odd", "odd.py", "SyntaxError: def")])
    with pytest.raises(PluginError, match="odd: SyntaxError"):
        await manager.start(managers)
    assert states(manager) == {"odd": "failed"}


async def test_a_shutdown_that_hangs_or_raises_holds_nobody_up(managers: Managers, diary: list[str]) -> None:
    class Raising(Recorded):
        async def shutdown(self) -> None:
            await super().shutdown()
            raise RuntimeError("too late")

    manager = manager_of(Recorded("last", diary), Stuck("stuck", diary), Raising("first", diary))
    await manager.start(managers)
    began = time.monotonic()
    await manager.shutdown()
    assert time.monotonic() - began < 2
    assert [entry for entry in diary if entry[0] == "-"] == ["-first", "-stuck", "-last"]
    await until(lambda: diary.count("!stuck") == 1, within=5, what="the stuck one was cancelled")


async def test_a_start_that_never_ends_is_left_behind(managers: Managers, diary: list[str]) -> None:
    manager = manager_of(Forever("slow", diary), Recorded("good", diary))
    await manager.start(managers)
    assert states(manager) == {"slow": "failed", "good": "started"}
    assert "within 0.3 s" in str(manager.describe()[0]["reason"])


async def test_each_plugin_gets_its_section_or_the_defaults(managers: Managers, diary: list[str]) -> None:
    told, untold = Recorded("told", diary), Recorded("untold", diary)
    await manager_of(told, untold, told=Greeting(text="moin")).start(managers)
    assert told.settings == Greeting(text="moin")
    assert untold.settings == Greeting()


async def test_a_service_is_had_from_a_plugin_that_runs(managers: Managers, diary: list[str]) -> None:
    class Quiet(Recorded):
        service = None  # type: ignore[assignment]

    asking = Recorded("asking", diary, ["offering"])
    manager = manager_of(asking, Recorded("offering", diary), Failing("bad", diary))
    await manager.start(managers)
    assert asking.managers is not None
    assert asking.managers.service("offering") == "the service of offering"
    with pytest.raises(ServiceUnavailableError, match="'bad' is failed"):
        manager.service("bad")
    with pytest.raises(ServiceUnavailableError, match=r"no plugin 'none'.*asking"):
        manager.service("none")
    with pytest.raises(ServiceUnavailableError, match="no plugin has been started"):
        managers.service("offering")


async def test_a_plugin_without_a_service_says_so(managers: Managers) -> None:
    class Plain:
        name = "plain"
        settings_model: type[BaseModel] = Greeting

        async def start(self, managers: Managers, settings: BaseModel) -> None: ...

        async def shutdown(self) -> None: ...

    manager = manager_of(Plain())
    await manager.start(managers)
    assert manager.describe() == [
        {
            "name": "plain",
            "state": "started",
            "reason": "",
            "depends_on": [],
            "service": False,
            "source": "a test",
        }
    ]
    with pytest.raises(ServiceUnavailableError, match="exposes no service"):
        manager.service("plain")


async def test_the_start_of_a_plugin_is_logged(
    managers: Managers, diary: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import structlog

    structlog.reset_defaults()
    await manager_of(Recorded("hello", diary)).start(managers)
    line = capsys.readouterr().out
    assert "plugin started" in line
    assert "hello" in line
