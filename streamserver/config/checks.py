"""Checks that need more than one setting, and warnings for values that are accepted but do nothing yet."""

from streamserver.config.gstreamer import Wish, is_arithmetic, read_pipeline, read_video_config
from streamserver.config.media_settings import VideoSettings, WebRTCSettings
from streamserver.config.settings import MemberSettings, MultiuserSettings, Settings
from streamserver.config.types import ScreenSize
from streamserver.usernames import BadUsernameError, check_username


def find_conflicts(settings: Settings) -> list[str]:
    """Return why these settings cannot be used together, one sentence each."""
    problems = []
    server, desktop, cookie = settings.server, settings.desktop, settings.session.cookie
    if (server.cert is None) != (server.key is None):
        given, missing = ("cert", "key") if server.cert else ("key", "cert")
        problems.append(f"server.{given} is set but server.{missing} is not; HTTPS needs both, HTTP neither")
    if "*" in server.cors and len(server.cors) > 1:
        problems.append("server.cors has * and other origins; * alone means every origin")
    if desktop.screen.width > desktop.max_screen.width or desktop.screen.height > desktop.max_screen.height:
        problems.append(
            f"desktop.screen is {desktop.screen}, larger than desktop.max_screen, {desktop.max_screen}"
        )
    if cookie.path and not cookie.path.startswith("/"):
        problems.append(f'session.cookie.path is "{cookie.path}"; it must begin with a slash or be empty')
    member = settings.member.multiuser
    if settings.member.provider == "multiuser":
        if not member.admin_password.get_secret_value():
            problems.append("member.multiuser.admin_password is empty; anybody would be an admin")
        elif member.user_password.get_secret_value() == member.admin_password.get_secret_value():
            problems.append(
                "member.multiuser.user_password and member.multiuser.admin_password are the same; "
                "nobody could log in as a user"
            )
    return (
        problems
        + _member_conflicts(settings.member)
        + _webrtc_conflicts(settings.webrtc)
        + _pipeline_conflicts(settings.capture.video)
    )


def _member_conflicts(member: MemberSettings) -> list[str]:
    problems = []
    if member.provider == "file" and member.file.path is None:
        problems.append("member.file.path is empty; member.provider file needs one")
    names = [user.username for user in member.object.users]
    problems += [
        f"member.object.users has {name} more than once"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    problems += [
        f"member.object.users: {user.username} has an empty password; anybody could log in as {user.username}"
        for user in member.object.users
        if not user.password.get_secret_value()
    ]
    for name in names:
        try:
            check_username(name)
        except BadUsernameError as error:
            problems.append(f"member.object.users: {error}")
    return problems


def find_limits(settings: Settings) -> list[str]:
    """Return a warning for each value that is neko's but has no effect here yet."""
    capture, webrtc = settings.capture, settings.webrtc
    video, audio = capture.video, capture.audio
    warnings = []
    if video.codec != "h264":
        warnings.append(f"capture.video.codec: {video.codec} is not encoded yet; h264 is used")
    if audio.codec != "opus":
        warnings.append(f"capture.audio.codec: {audio.codec} is not encoded yet; opus is used")
    if warning := _open_to_strangers(settings):
        warnings.append(warning)
    if settings.member.provider == "file" and not settings.member.file.hash:
        warnings.append(
            "member.file.hash: false keeps passwords as they are; whoever reads the file can log in with them"
        )
    if settings.member.provider == "object" and not settings.member.object.users:
        warnings.append("member.object.users is empty; nobody can log in until the API token adds somebody")
    warnings += _webrtc_limits(webrtc)
    if video.pipeline and not video.pipelines:
        warnings.append(
            _not_run("capture.video.pipeline", read_pipeline(video.pipeline).as_settings("capture.video"))
        )
    warnings += _pipeline_limits(video, settings.desktop.screen)
    if audio.pipeline:
        wish = read_pipeline(audio.pipeline)
        wish = Wish(wish.codec, wish.bitrate)
        warnings.append(_not_run("capture.audio.pipeline", wish.as_settings("capture.audio")))
    return warnings


def _pipeline_limits(video: VideoSettings, screen: ScreenSize) -> list[str]:
    warnings = []
    for name, pipeline in video.pipelines.items():
        key = f"capture.video.pipelines.{name}"
        if pipeline.gst_pipeline or pipeline.gst_encoder:
            wish = read_video_config(pipeline, screen)
            found = ", ".join(
                f"{value} {unit}" for value, unit in ((wish.bitrate, "kbit/s"), (wish.fps, "fps")) if value
            )
            warnings.append(
                f"{key}: GStreamer is not run, our own encoder makes this quality"
                f"{': ' + found if found else ''}"
            )
        if pipeline.codec not in (None, "h264"):
            warnings.append(f"{key}.codec: {pipeline.codec} is not encoded yet; h264 is used")
    names = video.pipelines or ("main", "medium", "low")
    if unknown := [name for name in video.ids if name not in names]:
        warnings.append(
            f"capture.video.ids: there is no pipeline {', '.join(unknown)}; there is {', '.join(names)}"
        )
    return warnings


def _pipeline_conflicts(video: VideoSettings) -> list[str]:
    return [
        f'capture.video.pipelines.{name}.{field} is "{value}"; a number is needed, or arithmetic with width, '
        "height, fps and round()"
        for name, pipeline in video.pipelines.items()
        for field, value in (
            ("width", pipeline.width),
            ("height", pipeline.height),
            ("fps", pipeline.fps),
            ("bitrate", pipeline.bitrate),
        )
        if not is_arithmetic(value)
    ]


def _webrtc_limits(webrtc: WebRTCSettings) -> list[str]:
    warnings = []
    if not webrtc.icetrickle:
        warnings.append("webrtc.icetrickle: our candidates are in the offer, whatever is set")
    if webrtc.icelite:
        if webrtc.iceservers.backend not in ((), webrtc.iceservers.frontend):
            warnings.append(
                "webrtc.iceservers.backend: not used with ICE-lite; set webrtc.nat1to1 behind NAT"
            )
        if webrtc.epr is not None:
            warnings.append("webrtc.epr: not used with ICE-lite; all viewers share the port webrtc.udpmux")
    elif webrtc.tcpmux:
        warnings.append("webrtc.tcpmux: not used when webrtc.icelite is false")
    return warnings


def _webrtc_conflicts(webrtc: WebRTCSettings) -> list[str]:
    if webrtc.icelite or webrtc.epr is None or "udpmux" not in webrtc.model_fields_set:
        return []
    return [
        f"webrtc.epr ({webrtc.epr}) and webrtc.udpmux ({webrtc.udpmux}) are both set and webrtc.icelite is "
        "false: each viewer has ports of its own then; remove webrtc.udpmux, or webrtc.epr and webrtc.icelite"
    ]


def _open_to_strangers(settings: Settings) -> str | None:
    """Return a warning where strangers could log in: without a password, or with one that everybody knows."""
    host, _ = settings.server.address
    if host in ("127.0.0.1", "::1", "localhost"):
        return None
    if settings.member.provider == "noauth":
        return f"member.provider: noauth makes everybody an admin, and server.bind is {settings.server.bind}"
    usual, chosen = MultiuserSettings(), settings.member.multiuser
    keys = [key for key in ("user_password", "admin_password") if getattr(chosen, key) == getattr(usual, key)]
    if not keys:
        return None
    names = " and ".join(f"member.multiuser.{key}" for key in keys)
    return f"{names}: still the default, which everybody knows, and server.bind is {settings.server.bind}"


def _not_run(key: str, equivalent: str) -> str:
    same = f"; what it asks for, in our settings: {equivalent}" if equivalent else ""
    return f"{key}: GStreamer pipelines are not run, our own encoder is used{same}"
