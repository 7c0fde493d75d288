"""In a network of its own: make a rule that turns tracking on, send a packet, find its flow. Run by `trials`.

unshare --net python -m hostagent.doctor.packets
"""

import ctypes
import fcntl
import socket
import struct
import sys
from pathlib import Path

RULES = b"""
add table inet probe
add chain inet probe out { type filter hook output priority 0; }
add rule inet probe out ct state new counter
add rule inet probe out ct mark set ct mark or 0x1
add rule inet probe out log group 5 queue-threshold 1
"""
PORT = 9
NETLINK_NETFILTER = 12
_GET_FLOWS = 1 << 8 | 1  # subsystem conntrack, message get
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3


def main() -> None:
    """Exit with a sentence when something is missing."""
    _up()
    _rules()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"?", ("127.0.0.1", PORT))
    if not Path("/proc/self/net/netfilter/nfnetlink_log").exists():
        sys.exit("the kernel cannot log packets to a program (nfnetlink_log)")
    if not _flows():
        sys.exit("nftables works, but the kernel tracks no connections")


def _up() -> None:
    flags_of, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(fcntl.ioctl(any_socket, flags_of, struct.pack("16sh14x", b"lo", 0)))
        flags = struct.unpack_from("h", request, 16)[0] | up
        struct.pack_into("h", request, 16, flags)
        fcntl.ioctl(any_socket, set_flags, bytes(request))


def _rules() -> None:
    try:
        nft = ctypes.CDLL("libnftables.so.1")
    except OSError:
        sys.exit("libnftables is not installed")
    nft.nft_ctx_new.restype = ctypes.c_void_p
    nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    context = ctypes.c_void_p(nft.nft_ctx_new(0))
    nft.nft_ctx_buffer_error(context)
    if nft.nft_run_cmd_from_buffer(context, RULES):
        reason = nft.nft_ctx_get_error_buffer(context).decode(errors="replace").strip().partition("\n")[0]
        sys.exit(f"the kernel takes no nftables rules: {reason}")


def _flows() -> int:
    """Return how many flows the kernel tells of; leaves with a sentence when it tells nothing."""
    try:
        tracking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        family_header = struct.pack("BBH", socket.AF_INET, 0, 0)
        tracking.send(
            struct.pack("IHHII", 16 + len(family_header), _GET_FLOWS, _REQUEST_DUMP, 1, 0) + family_header
        )
        tracking.settimeout(2)
        answer = tracking.recv(1 << 16)
    except OSError as error:
        sys.exit(f"the kernel does not tell of connections (nf_conntrack_netlink): {error}")
    count, offset = 0, 0
    while offset + 16 <= len(answer):
        length, kind = struct.unpack_from("IH", answer, offset)
        if kind in (_DONE, _ERROR) or length < 16:
            break
        count += 1
        offset += (length + 3) & ~3
    return count


if __name__ == "__main__":
    main()
