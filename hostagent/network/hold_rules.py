"""Handing packets to the hold queue. Where nftables cannot queue by itself, a rule of iptables does it by
a mark.
"""

import subprocess

from hostagent.network import rules
from hostagent.network.nft import Nft, NftError

CHAIN = "CATNAP-HOLD"
_PROGRAMS = ("iptables", "ip6tables")
_PROBE = "inet catnap_probe"
_DEADLINE = 10.0
"""Seconds that iptables may take; it waits for a lock while another program changes rules."""


def nft_can_queue(nft: Nft) -> bool:
    """Try it for real (CONFIG_NFT_QUEUE is not everywhere)."""
    chain = f"add chain {_PROBE} probe"
    try:
        nft.run(f"add table {_PROBE}\n{chain}\nadd rule {_PROBE} probe queue num {rules.HOLD_QUEUE}")
    except NftError:
        return False
    finally:
        nft.run(f"add table {_PROBE}\ndelete table {_PROBE}")
    return True


def install(queue: int) -> str | None:
    """Make the rules, once; return why it cannot be done, None when it is.

    There is no bypass: while no agent listens, packets to stopped instances are dropped, and who sent them
    tries again, instead of being told by a namespace without a server that nobody is there.
    """
    mark = f"{rules.HOLD_MARK:#x}/{rules.HOLD_MARK:#x}"
    for program in _PROGRAMS:
        jump = "" if _run(program, *_table("-C")) is None else f"-I POSTROUTING -j {CHAIN}\n"
        refusal = _run(
            f"{program}-restore",
            "-w",
            "--noflush",
            text=f"*mangle\n:{CHAIN} - [0:0]\n{jump}"
            f"-A {CHAIN} -m mark --mark {mark} -j NFQUEUE --queue-num {queue}\nCOMMIT\n",
        )
        if refusal is not None:
            return refusal
    return None


def remove() -> None:
    """Take the rules away, whether they are there or not."""
    for program in _PROGRAMS:
        while _run(program, *_table("-D")) is None:
            pass
        _run(program, "-w", "-t", "mangle", "-F", CHAIN)
        _run(program, "-w", "-t", "mangle", "-X", CHAIN)


def _table(action: str) -> tuple[str, ...]:
    return ("-w", "-t", "mangle", action, "POSTROUTING", "-j", CHAIN)


def _run(program: str, *arguments: str, text: str = "") -> str | None:
    """Return None when the program did it, else what it said."""
    try:
        done = subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, timeout=_DEADLINE, check=False
        )
    except FileNotFoundError:
        return f"there is no {program}: install the package iptables"
    except subprocess.TimeoutExpired:
        return f"{program} does not end"
    if done.returncode == 0:
        return None
    return f"{program} refuses: {done.stderr.strip() or done.returncode}"
