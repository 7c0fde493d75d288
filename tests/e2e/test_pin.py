"""Who can keep the machine awake: programs with a token, trusted networks, the command line; and no page."""

import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.network import Namespace
from tests.waiting import wait_until

from .hostile_page import HostilePage
from .protocol_client import login
from .running_server import RunningServer, running_server

pytestmark = pytest.mark.e2e

API_TOKEN = "token-of-a-program"
POSTS = ("fetch", "opaque", "quiet", "beacon", "form", "nameless")
"""The page's ways to send a POST that a server sees."""
TRIED = 120.0
"""Seconds for a page in a busy shared browser to try everything."""
SETTINGS: dict[str, Any] = {"session": {"api_token": API_TOKEN}, "log": {"levels": {"http": "debug"}}}
COOLDOWN = 1.0


def catnap(server: RunningServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `catnap scaletozero` as the operator does."""
    program = Path(sys.executable).with_name("catnap")
    return subprocess.run(
        [str(program), "scaletozero", *arguments, "--config", str(server.config_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def post(server: RunningServer, path: str, host: str = "127.0.0.1", **headers: str) -> int:
    """POST from this machine and return the status."""
    return httpx.post(f"http://{host}:{server.port}{path}", headers=headers, timeout=30).status_code


def post_from(namespace: Namespace, server: RunningServer, path: str, **headers: str) -> int:
    """POST from the other end of the cable and return the status."""
    code = (
        "import httpx, json, sys\n"
        "print(httpx.post(sys.argv[1], headers=json.loads(sys.argv[2]), timeout=30).status_code)"
    )
    url = f"http://{namespace.gateway}:{server.port}{path}"
    command = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", code, url, json.dumps(headers)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_programs_pin_with_a_token_and_trusted_networks_without() -> None:
    bearer = {"authorization": f"Bearer {API_TOKEN}"}
    with Namespace() as trusted, Namespace() as other:
        cidr = str(ipaddress.ip_network(f"{trusted.gateway}/30", strict=False))
        with running_server(**SETTINGS, scaletozero={"cooldown": 0, "trusted_cidrs": [cidr]}) as server:
            user = {"authorization": f"Bearer {login(server)}"}
            admin = {"authorization": f"Bearer {login(server, 'root', 'test-admin')}"}
            disable, enable = "/scaletozero/disable", "/api/scaletozero/enable"
            refused: list[tuple[int, Callable[[str], int]]] = [
                (401, lambda path: post(server, path)),
                (401, lambda path: post(server, path, host=trusted.gateway)),
                (401, lambda path: post_from(other, server, path)),
                (401, lambda path: post(server, path, authorization="Bearer nonsense")),
                (403, lambda path: post(server, path, **user)),
                (403, lambda path: post_from(other, server, path, **user)),
                (403, lambda path: post_from(trusted, server, path, origin="http://evil.example")),
                (403, lambda path: post(server, path, **bearer, origin="http://evil.example")),
            ]
            for status, call in refused:
                assert call(disable) == status
                assert server.gate == ""
            allowed: list[Callable[[str], int]] = [
                lambda path: post(server, path, **bearer),
                lambda path: post(server, path, **admin),
                lambda path: post_from(other, server, path, **bearer),
                lambda path: post_from(trusted, server, path),
            ]
            for call in allowed:
                for path, said in ((disable, "+"), (disable, "+"), (enable, "-"), (enable, "-")):
                    assert call(path) == 204
                    assert server.gate == said


def test_the_command_line_pins_a_running_server() -> None:
    with running_server(**SETTINGS) as server:
        answer = catnap(server, "disable")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "Awake: it is pinned.\n", "")
        assert server.gate == "+"
        status = catnap(server, "status").stdout
        assert re.search(r"^gate +held$", status, re.MULTILINE)
        assert re.search(r"^  pin +the command line, for ", status, re.MULTILINE)
        over_http = httpx.get(f"{server.url}scaletozero", headers={"authorization": f"Bearer {API_TOKEN}"})
        assert over_http.json()["pinned"] is True
        assert json.loads(catnap(server, "status", "--json").stdout).keys() == over_http.json().keys()
        assert catnap(server, "enable").returncode == 0
        wait_until(lambda: server.gate == "-", within=COOLDOWN + 10, what="the gate is released")

        catnap(server, "disable")
        server.stop()
        assert server.gate == "-"
        assert "no server runs here" in catnap(server, "status").stderr


def test_a_page_in_the_shared_browser_can_neither_pin_nor_unpin() -> None:
    """It runs on this machine, so its requests come from loopback or our own address; here both are named."""
    trusting = {"trusted_cidrs": ["0.0.0.0/0", "::/0"], "cooldown": 0}
    with (
        HostilePage() as page,
        Namespace() as namespace,
        running_server(**SETTINGS, scaletozero=trusting, browser={"url": page.url}) as server,
    ):
        assert post_from(namespace, server, "/scaletozero/enable") == 204, "the network is trusted"

        attack(server, page, "disable", ours=namespace.gateway)
        evidence = json.loads(catnap(server, "status", "--json").stdout)
        assert (evidence["pinned"], evidence["awake_seconds"]["pin"]) == (False, 0)
        assert "lease" not in [hold["kind"] for hold in evidence["holds"]]

        assert post_from(namespace, server, "/scaletozero/disable") == 204
        attack(server, page, "enable", ours=namespace.gateway)
        evidence = json.loads(catnap(server, "status", "--json").stdout)
        assert (evidence["pinned"], server.gate) == (True, "+")


def attack(server: RunningServer, page: HostilePage, action: str, *, ours: str) -> None:
    """Let the page try, and see that all it sent was turned away and that it could read no answer.

    Args:
        action: `disable` or `enable`.
        ours: an address of this machine that is not loopback.
    """
    targets = [
        f"http://{host}:{server.port}{root}/scaletozero/{action}{query}"
        for host in ("127.0.0.1", "localhost", ours)
        for root, query in (("", ""), ("/api", f"?token={API_TOKEN}"))
    ]
    before = len(server.log)
    page.attack(targets)
    wait_until(lambda: page.done, within=TRIED, what=f"the page has tried to {action}")
    pattern = re.compile(rf"method=POST path=/(?:api/)?scaletozero/{action} .*status=(\d+)")

    def statuses() -> list[str]:
        return pattern.findall(server.log[before:])

    posts = len(targets) * len(POSTS)
    wait_until(lambda: len(statuses()) >= posts, within=TRIED, what="all of it has reached the server")
    assert set(statuses()) == {"403"}
    log = server.log[before:]
    assert not re.search(r"method=(PUT|DELETE) path=/(api/)?scaletozero", log)
    assert not [outcome for outcome in page.outcomes if re.search(r"\b(cors|basic) \d", outcome[2])]
