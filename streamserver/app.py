"""The composition root: the only file that builds the parts, starts them in order and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from streamserver.api.app import build_app
from streamserver.api.context import ApiContext
from streamserver.api.server import HttpServer
from streamserver.capture.broadcast import Broadcast
from streamserver.capture.capture import Capture
from streamserver.capture.errors import BroadcastError, CaptureError
from streamserver.capture.stills import Stills
from streamserver.config import Loaded
from streamserver.config.sharing_settings import BroadcastSettings, WebcamSettings
from streamserver.desktop.camera import Camera
from streamserver.desktop.desktop import Desktop
from streamserver.desktop.errors import DesktopError
from streamserver.legacy import make_routes
from streamserver.logs import get_logger, setup_logging
from streamserver.members.choice import make_provider
from streamserver.metrics import new_registry
from streamserver.plugins.contract import Managers, PluginError
from streamserver.plugins.health import HealthRegistry
from streamserver.plugins.manager import PluginManager, discover
from streamserver.sessions.errors import SessionError
from streamserver.sessions.manager import SessionManager
from streamserver.webrtc.errors import WebRTCError
from streamserver.webrtc.manager import WebRTCManager
from streamserver.websocket.manager import WebSocketManager

log = get_logger("app")

STOP_TIMEOUT = 10.0
"""Seconds each part may take to stop before we go on without it; plugins have shorter bounds of their own."""

START_ERRORS = (OSError, CaptureError, DesktopError, PluginError, SessionError, WebRTCError)
"""What parts raise when the machine or the configuration does not let them start: one sentence."""

GARBAGE_THRESHOLDS = 2_000, 5, 200
"""New objects before the youngest are looked through, and how often until older ones are as well."""

Stop = Callable[[], Awaitable[None] | None]


class App:
    """One streaming browser: everything that `catnap serve` runs."""

    def __init__(self, loaded: Loaded) -> None:
        """Take the settings; nothing is built before `start`."""
        self._loaded = loaded
        self._stops: list[tuple[str, Stop]] = []

    async def start(self) -> None:
        """Build and start the parts in the order of their dependencies.

        When one fails, those that have started are stopped again and its error is raised.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self._loaded.settings
        run_dir = settings.server.run_dir
        registry = new_registry()
        health = HealthRegistry()

        sessions = SessionManager(settings.session, registry=registry)
        await sessions.start()
        members = await asyncio.to_thread(make_provider, settings.member)  # it may read a file

        desktop = Desktop(
            settings.desktop,
            settings.browser,
            run_dir,
            registry,
            microphone=voice.device if (voice := settings.capture.microphone).enabled else "",
        )
        self._stops.append(("desktop", desktop.stop))
        await desktop.start()

        capture = Capture(settings.capture, desktop.display, desktop.sound, registry)
        self._stops.append(("capture", capture.stop))
        await capture.start()

        stills = Stills(capture.picture, registry)
        self._stops.append(("stills", stills.close))

        bitrate = settings.capture.broadcast.audio_bitrate
        broadcast = Broadcast(capture.picture, capture.audio, audio_bitrate=bitrate)
        self._stops.append(("broadcast", broadcast.close))

        webrtc = WebRTCManager(
            settings.webrtc,
            capture,
            sessions,
            desktop,
            registry,
            legacy=settings.legacy,
            microphone=desktop.microphone,
            camera=await _camera(settings.capture.webcam),
        )
        self._stops.append(("webrtc", webrtc.stop))
        await webrtc.start()

        websocket = WebSocketManager(sessions, desktop, webrtc, broadcast, settings, registry)
        self._stops.append(("websocket", websocket.stop))
        await websocket.start()

        plugins = PluginManager(discover(settings.plugins), settings)
        api = build_app(
            ApiContext(
                settings=settings,
                sessions=sessions,
                members=members,
                desktop=desktop,
                websocket=websocket,
                plugins=plugins,
                registry=registry,
                health=health,
                stills=stills,
                broadcast=broadcast,
                egress=webrtc.egress,
            )
        )
        if settings.legacy:
            files = getattr(settings.plugin_settings.get("filetransfer"), "enabled", False)
            prefix = settings.server.path_prefix
            api.add_routes(make_routes(websocket, sessions, prefix, file_transfer=files))
        http = HttpServer(api.asgi, settings.server, settings.session)
        # Stopped in this order: plugins drain while they see who is here, nobody new gets in, sessions say
        # goodbye over sockets that still work, sockets go.
        self._stops.append(("http", http.stop))
        self._stops.append(("sessions", sessions.stop))
        self._stops.append(("listener", http.stop_listening))
        self._stops.append(("plugins", plugins.shutdown))
        await plugins.start(
            Managers(
                sessions=sessions,
                websocket=websocket,
                api=api,
                registry=registry,
                run_dir=run_dir,
                health=health,
                desktop=desktop,
            )
        )
        await http.start()
        await _begin_broadcast(broadcast, settings.capture.broadcast)
        log.info("ready", port=http.port, udp_port=webrtc.port)

    async def stop(self) -> None:
        """Stop the parts in the reverse order: plugins drain first, while they still see who is here."""
        while self._stops:
            part, stop = self._stops.pop()
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    stopped = stop()
                    if stopped is not None:
                        await stopped
            except TimeoutError:
                log.warning("part did not stop in time", part=part, timeout=STOP_TIMEOUT)
            except Exception:
                log.exception("part failed to stop", part=part)


async def _camera(settings: WebcamSettings) -> Camera | None:
    """Return the camera that pages see viewers by; None, with a line in the log, where there can be none."""
    if not settings.enabled:
        return None
    camera = Camera(settings.device, settings.width, settings.height)
    if reason := await asyncio.to_thread(camera.why_not):
        log.warning("no viewer can be seen by pages", reason=reason)
        return None
    return camera


async def _begin_broadcast(broadcast: Broadcast, settings: BroadcastSettings) -> None:
    """Begin what the settings ask for; a server that is not there yet is tried again and again."""
    url = settings.url.get_secret_value()
    broadcast.remember(url)
    if not url or not settings.autostart:
        return
    try:
        await broadcast.start(url, insist=True)
    except BroadcastError as error:
        log.warning("the broadcast cannot begin", setting="capture.broadcast.url", reason=str(error))


def _settle_memory() -> None:
    """Leave what lives as long as the server out of the rounds of the garbage collector.

    A round over all of it takes 0.1 s, in which nobody gets a picture. A connection is some 500 objects: the
    few that it leaves in circles may wait until some thousand others have come and gone.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def serve(loaded: Loaded) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once, without goodbyes."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(received: signal.Signals) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        log.info("stopping", signal=received.name)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    app = App(loaded)
    starting = loop.create_task(app.start())
    stopped = loop.create_task(stopping.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return
    stopped.cancel()
    try:
        await starting
        _settle_memory()
        await stopping.wait()
    finally:
        await app.stop()
    log.info("stopped")


def run(loaded: Loaded) -> int:
    """Run the server in this process and return its exit code."""
    setup_logging(loaded.settings.log)
    log.info("starting", version=version("catnap"))
    for warning in loaded.warnings:
        log.warning(warning)
    try:
        asyncio.run(serve(loaded))
    except KeyboardInterrupt:
        return 130
    except START_ERRORS as error:
        log.error("cannot start", reason=str(error))
        return 1
    return 0
