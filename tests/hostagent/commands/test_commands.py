"""The commands against a real agent that they start themselves."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hostagent.cli import host
from tests.hostagent.agents import COMMAND, host_directory
from tests.hostagent.own_host import require_own_network
from tests.waiting import wait_until

TREE = Path(__file__).parents[3]
WEB = ("/usr/bin/python3", "-u", "-m", "http.server", "8000")


@dataclass(frozen=True)
class Terminal:
    """Runs commands; all of them use the same agent."""

    environment: dict[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hostagent", *words],
            env=self.environment,
            cwd=TREE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *words: str, status: int = 0) -> str:
        with self.start(*words) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == status, output
        return output

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    require_own_network()
    with host_directory() as directory:
        environment = {
            **os.environ,
            "CATNAP_HOST_RUN_DIR": str(directory / "run"),
            "CATNAP_HOST_DATA_DIR": str(directory / "data"),
            "CATNAP_HOST_PROCESS_GROUP": directory.name.lower(),
            "CATNAP_HOST_PROCESS_STOP_GRACE": "2s",
            "CATNAP_HOST_SPANS_FILE": str(directory / "spans.json"),
        }
        terminal = Terminal(environment)
        try:
            yield terminal
        finally:
            if (directory / "run" / "agent.sock").exists():
                terminal("down", "--rm", "--yes")


@pytest.fixture(scope="module")
def web(terminal: Terminal) -> str:
    output = terminal(
        "run", "-d", "-n", "web", "-p", "18000:8000", "--idle-timeout", "1h", "--level", "frozen", "--", *WEB
    )
    assert "An agent runs in the background now" in output
    assert "web runs at http://localhost:18000" in output
    assert "When nobody is connected for 1 h it falls asleep" in output
    wait_until(lambda: "Serving HTTP" in terminal("logs", "web"), within=10, what="it serves")
    return "web"


def _get(port: int = 18000) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        return int(answer.status)


def test_without_an_agent_it_says_what_to_do(terminal: Terminal) -> None:
    empty = Terminal({**terminal.environment, "CATNAP_HOST_RUN_DIR": "/nowhere"})
    output = empty("ls", status=1)
    assert "no agent answers at /nowhere/agent.sock" in output
    assert "catnap host run" in output


def test_standby_wake_why_and_a_packet(terminal: Terminal, web: str) -> None:
    assert _get() == 200
    wait_until(
        lambda: "asleep" in terminal.start("standby", web, "--level", "frozen").communicate()[0],
        within=20,
        what="nobody is connected any more",
    )
    (one,) = terminal.json("ls")
    assert (one["state"], one["level"]) == ("Standby", "frozen")
    assert "web is frozen since" in terminal("why", web)
    assert _get() == 200
    text = terminal("events", "--no-follow", "--instance", web)
    assert "web: asleep (frozen, " in text
    assert "web: woken by a packet from this machine" in text
    assert "web is awake" in terminal("wake", web)
    table = terminal("ls")
    assert table.split()[:4] == ["NAME", "STATE", "LEVEL", "SINCE"]
    assert "18000→8000" in table


def test_stop_and_start(terminal: Terminal, web: str) -> None:
    assert "web is stopped" in terminal("stop", web)
    assert "start it instead" in terminal("wake", web, status=1)
    assert "web is started" in terminal("start", web)
    told = terminal.json("why", web)
    assert [event["type"] for event in told["events"]][-2:] != []
    assert told["level"] == "awake"


def test_run_follows_in_plain_words_until_ctrl_c(terminal: Terminal, web: str) -> None:
    process = terminal.start("run", "-n", "echo", "--idle-timeout", "300ms", "--", *COMMAND)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "asleep (" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(10) == 0
    assert "echo goes on" in rest
    assert any("nobody is connected: asleep in 0.3 s" in line for line in lines)
    assert "echo" in terminal("ls")
    assert "echo is removed" in terminal("rm", "echo")
    assert "echo" not in terminal("ls")


def test_run_ends_when_the_command_does(terminal: Terminal, web: str) -> None:
    output = terminal("run", "-n", "short", "--", "/bin/sh", "-c", "echo alas; exit 3", status=1)
    assert "command ended by itself with status 3" in output
    assert terminal("logs", "short") == "alas\n"
    terminal("rm", "short")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "-p", "99999", "--", "true"), "99999 is no port"),
        (("run", "--idle-timeout", "soon", "--", "true"), "no duration"),
        (("run", "--", "no-such-program"), "no program 'no-such-program'"),
        (("run",), "Missing argument"),
        (("agent", "--no.such=1"), "no setting"),
        (("agent", "--wake.deadline=soon"), "wake.deadline"),
        (("agent", "--api.bind=0.0.0.0:1"), "no loopback address"),
        (("rm", "nobody"), "no instance 'nobody'"),
    ],
)
def test_mistakes_are_said_in_a_line(
    terminal: Terminal, web: str, words: tuple[str, ...], message: str
) -> None:
    done = CliRunner(env=terminal.environment).invoke(host, list(words))
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
    assert message in done.output


def test_down_leaves_nothing_and_keeps_instances(terminal: Terminal, web: str) -> None:
    def ours() -> str:
        links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
        rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        return links + rules

    assert "inet catnap_host" in ours()
    assert "nothing of it is left" in terminal("down", "--yes")
    assert "catnap" not in ours()
    spans = Path(terminal.environment["CATNAP_HOST_SPANS_FILE"]).read_text()
    for name in ("InstanceCreate", "InstanceStandby", "InstanceRestore", "AutoStandbyStartupResync"):
        assert f'"name": "{name}"' in spans
    assert not Path(terminal.environment["CATNAP_HOST_RUN_DIR"], "gate").exists()
    terminal("run", "-d", "-n", "other", "--never-sleep", "--", *COMMAND)
    found = {one["name"]: one for one in terminal.json("ls")}
    assert (found["web"]["state"], found["web"]["wakes_on_packet"]) == ("Stopped", True)
    assert _get() == 200
    assert "never" in terminal("ls")


def test_two_who_begin_at_once_share_one_agent(terminal: Terminal) -> None:
    terminal("down", "--rm", "--yes")
    both = [terminal.start("run", "-d", "-n", f"twin-{n}", "--never-sleep", "--", *COMMAND) for n in (1, 2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {one["name"] for one in terminal.json("ls")} == {"twin-1", "twin-2"}
