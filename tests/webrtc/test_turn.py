"""TURN, by Debian's coturn: a server or a viewer that reaches nothing but a relay; a real Chromium watches.

A relay lets in only whom the server has heard of. A browser hides its own addresses, so for a relay of the
server's it must be told of a STUN server, and tells the address that it learns there.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.async_api import Page

from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc import full_ice
from tests.network import Namespace
from tests.waiting import wait_until
from tests.webrtc.browser import look, open_page, watch
from tests.webrtc.masquerade import INSIDE, inside
from tests.webrtc.room import open_room

USER, PASSWORD = "viewer", "relay-password"

PAIR = """async (name) => {
    const report = await window[name].pc.getStats();
    const transport = [...report.values()].find((entry) => entry.type === "transport");
    const pair = report.get(transport.selectedCandidatePairId);
    return [report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)]
        .map(({candidateType, address}) => [candidateType, address]);
}"""


@contextmanager
def turn_server(address: str) -> Iterator[dict[str, object]]:
    """Run a relay at an address of this machine; gives the entry of `iceservers` that tells of it."""
    program = shutil.which("turnserver")
    assert program, "coturn is not installed: scripts/setup installs it"
    with TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = [program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp-relay", "--lt-cred-mech"]
        command += ["--listening-ip", address, "--relay-ip", address, "--min-port", "42000"]
        command += ["--max-port", "42099", "--realm", "test", "--user", f"{USER}:{PASSWORD}"]
        command += ["--userdb", f"{directory}/db", "--pidfile", f"{directory}/pid", "--log-file", "stdout"]
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
            try:
                wait_until(lambda: _listens(address), within=10, what=f"the relay listens: {log}")
                yield {"urls": [f"turn:{address}:3478"], "username": USER, "credential": PASSWORD}
            finally:
                server.terminate()
                try:
                    server.wait(10)
                except subprocess.TimeoutExpired:
                    server.kill()


def _listens(address: str) -> bool:
    sockets = subprocess.run(["ss", "-Hlun"], check=True, capture_output=True, text=True).stdout
    return f"{address}:3478 " in sockets


@contextmanager
def only_the_relay_is_reached(host: Namespace) -> Iterator[None]:
    """Drop what the other host sends to this machine, but for STUN's port."""
    table = f"turn_{host.name.replace('-', '_')}"
    rules = f"add table inet {table}; "
    rules += f"add chain inet {table} input {{ type filter hook input priority 0; }}; "
    rules += f"add rule inet {table} input ip saddr {host.address} th dport != 3478 counter drop"
    subprocess.run(["nft", rules], check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", f"delete table inet {table}"], check=True)


async def _sees(page: Page) -> None:
    bob = await look(page, "bob", 10)
    assert bob["size"] == [320, 240]
    assert isinstance(bob["messages"], list)
    assert [message[0] for message in bob["messages"][:3]] == [2, 1, 3]


async def test_a_server_nobody_can_reach_is_watched_through_its_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(full_ice, "interface_addresses", lambda: [ip_address(INSIDE)])
    with Namespace() as host, inside(), turn_server(host.gateway) as server:
        stun = {"urls": [f"stun:{host.gateway}:3478"]}
        settings = {"icelite": False, "iceservers": {"frontend": [stun], "backend": [server]}}
        async with (
            open_room(WebRTCSettings.model_validate(settings)) as room,
            open_page(["ip", "netns", "exec", host.name]) as page,
        ):
            await watch(room, page, "bob")
            await _sees(page)
            _, remote = await page.evaluate(PAIR, "bob")
            assert remote == ["relay", host.gateway]


async def test_a_viewer_whose_network_forbids_all_but_a_relay_watches_through_it() -> None:
    with Namespace() as host, only_the_relay_is_reached(host), turn_server(host.gateway) as server:
        settings = {"udpmux": 0, "nat1to1": (host.gateway,), "iceservers": {"frontend": [server]}}
        async with (
            open_room(WebRTCSettings.model_validate(settings)) as room,
            open_page(["ip", "netns", "exec", host.name]) as page,
        ):
            await watch(room, page, "bob")
            await _sees(page)
            local, _ = await page.evaluate(PAIR, "bob")
            assert local[0] == "relay"
