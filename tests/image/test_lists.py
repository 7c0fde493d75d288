"""What the image is made of comes from the lists that everything else uses: none is kept by hand."""

import http.server
import os
import re
import subprocess
import threading
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .builder import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def script(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / name), *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip


def locked(*wished: str) -> set[str]:
    done = script("locked-requirements", *wished)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^([a-z0-9-]+)==", done.stdout, re.MULTILINE))


def needed_by(name: str, extra: str, seen: set[str]) -> set[str]:
    """Add what a package asks for on this machine, as its own metadata says, to `seen`."""
    for line in requires(name) or []:
        requirement = Requirement(line)
        needed = canonicalize_name(requirement.name)
        if needed in seen or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        seen.add(needed)
        needed_by(needed, "", seen)
    return seen


def test_system_packages_have_one_list() -> None:
    packages = script("setup", "--print-runtime-packages").stdout.split()
    assert {"chromium", "xvfb", "pulseaudio", "libyuv0"} <= set(packages)
    assert "scripts/setup --print-runtime-packages" in DOCKERFILE
    install = re.search(r"apt-get install (.*)>/dev/null", DOCKERFILE)
    assert install
    words = [word for word in install[1].split() if not word.startswith(("-", "Dpkg::"))]
    assert words == ["$packages", "tini"], "a package of the server belongs into scripts/setup"
    assert not {"buildah", "runc", "fuse3"} & set(packages), "what only tests need stays out of the image"


def test_python_packages_are_those_that_the_server_needs() -> None:
    ours = locked("serve")
    assert {"aiortc", "av", "uvicorn", "click"} <= ours
    assert not {"pytest", "mypy", "numpy", "playwright", "setuptools", "uv"} & ours
    assert needed_by("catnap", "serve", set()) <= ours
    assert locked("serve", "setuptools") - ours == {"setuptools"}


def test_an_unknown_package_is_refused() -> None:
    done = script("locked-requirements", "serve", "nonesuch")
    assert done.returncode == 1
    assert "does not pin nonesuch" in done.stderr


def test_what_the_image_copies_is_what_the_builder_sees() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?:--\S+ )*(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == seen
    assert all((ROOT / name).exists() for name in copied)


def test_the_base_is_the_one_that_the_tests_make() -> None:
    from .builder import BASE

    assert f"ARG BASE={BASE}\n" in DOCKERFILE


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers /health with the server's `status`."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.paths.append(self.path)
        self.send_response(self.server.status if self.path.endswith("/health") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server for one health check after the other."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 200
        self.paths: list[str] = []


def test_the_health_check_tells_a_server_that_answers_from_one_that_does_not() -> None:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bind = f"0.0.0.0:{server.server_port}"
        assert script("image-health", NEKO_SERVER_BIND=bind).returncode == 0
        assert script("image-health", NEKO_SERVER_BIND=bind, NEKO_SERVER_PATH_PREFIX="/room/").returncode == 0
        assert server.paths == ["/health", "/room/health"]
        server.status = 503
        done = script("image-health", NEKO_SERVER_BIND=bind)
        assert (done.returncode, "503" in done.stdout) == (1, True)
        server.shutdown()
    done = script("image-health", NEKO_SERVER_BIND=bind)
    assert (done.returncode, "refused" in done.stdout) == (1, True)
