"""The ports that all viewers share: UDP, and TCP beside it."""

from __future__ import annotations

from streamserver.logs import get_logger

from .agents import Agents
from .errors import PortError
from .tcp_mux import TcpMux
from .udp_mux import UdpMux

log = get_logger("webrtc")

PORT_ATTEMPTS = 16
"""Free UDP ports that are tried until one is free for TCP too."""


class Ports:
    """The UDP port, the TCP port if there is one, and the agents behind both."""

    def __init__(self, agents: Agents, udp: UdpMux, tcp: TcpMux | None) -> None:
        self.agents = agents
        self.udp = udp
        self.tcp = tcp

    @classmethod
    def bind(cls, udp_port: int, tcp_port: int | None) -> Ports:
        """Open them.

        Args:
            udp_port: 0 takes any free one.
            tcp_port: None takes the UDP port's number, and does without TCP where that is taken; 0 does
            without.

        Raises:
            PortError: a port that was named cannot be had.
        """
        agents = Agents()
        for _ in range(PORT_ATTEMPTS):
            udp = UdpMux.bind(udp_port, agents)
            if tcp_port == 0:
                return cls(agents, udp, None)
            try:
                return cls(agents, udp, TcpMux.bind(tcp_port or udp.port, agents))
            except PortError as error:
                if tcp_port is not None:
                    udp.close()
                    raise
                if udp_port != 0:
                    log.warning("there is no media over TCP", reason=str(error))
                    return cls(agents, udp, None)
                udp.close()
        log.warning("there is no media over TCP", reason="no port is free for both")
        return cls(agents, UdpMux.bind(udp_port, agents), None)

    async def start(self) -> None:
        """Begin to receive on the running event loop."""
        self.udp.start()
        if self.tcp is not None:
            await self.tcp.start()

    def close(self) -> None:
        """Give the ports back. Safe to call again."""
        self.udp.close()
        if self.tcp is not None:
            self.tcp.close()
