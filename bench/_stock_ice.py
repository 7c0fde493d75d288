"""Runs a command of the server with aioice's own ICE agent in the place of ours.

`python -m bench._stock_ice ADDRESS COMMAND ARGUMENT ...`: the agent gathers, resolves and checks as aioice
does by itself. Only its address is given: a machine on which tests run has a dozen networks that come and go.
All else is the server's own code.
"""

from __future__ import annotations

import runpy
import sys

import aioice.ice
from aioice import Candidate, Connection

from streamserver.webrtc.full_ice import FullConnection
from streamserver.webrtc.manager import WebRTCManager


class StockConnection(FullConnection):
    """What our senders need of a connection, on an agent that does everything its own way."""

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        """Gather as aioice does."""
        return await Connection.get_component_candidates(self, component, addresses, timeout)

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """Take every candidate, names of mDNS among them, as aioice does."""
        await Connection.add_remote_candidate(self, remote_candidate)


def main(address: str, command: str, *arguments: str) -> None:
    """Run the command, a script of Python's, in this process."""

    def only_address(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [address]

    def new_connection(manager: WebRTCManager) -> StockConnection:
        return StockConnection()

    aioice.ice.get_host_addresses = only_address
    setattr(WebRTCManager, "_new_connection", new_connection)  # noqa: B010 a method, which mypy guards
    sys.argv = [command, *arguments]
    runpy.run_path(command, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
