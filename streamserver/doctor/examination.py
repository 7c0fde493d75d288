"""All checks, in the order in which the server needs the parts."""

from collections.abc import Iterator

from streamserver.config import Settings
from streamserver.doctor.desktop_checks import (
    check_account,
    check_browser,
    check_camera,
    check_display,
    check_fonts,
    check_sound,
    check_window_manager,
)
from streamserver.doctor.finding import Finding
from streamserver.doctor.server_checks import (
    check_codecs,
    check_control_file,
    check_media_tcp_port,
    check_run_directory,
    check_tcp_port,
    check_udp_port,
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each part; takes some seconds, since the browser is really started."""
    finding, account = check_account(settings.browser)
    yield finding
    yield check_run_directory(settings)
    yield check_display(settings.desktop, account)
    yield check_window_manager(settings.desktop)
    yield check_browser(settings.browser, account)
    yield check_sound(account)
    yield check_camera(settings.capture.webcam)
    yield check_fonts(account)
    yield check_codecs()
    yield check_tcp_port(settings)
    yield check_udp_port(settings)
    yield check_media_tcp_port(settings)
    yield check_control_file(settings)
