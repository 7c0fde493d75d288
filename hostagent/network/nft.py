"""libnftables inside this process: a change of a set costs 0.1 ms, where starting `nft` costs 5."""

import ctypes
import json
import threading
from typing import TypeAlias

from hostagent.errors import HostError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_JSON_OUTPUT = 1 << 4
"""NFT_CTX_OUTPUT_JSON."""
_LIBRARY = "libnftables.so.1"


class NftError(HostError):
    """The kernel or the library refused a command; nothing of it was done."""


class NftMissingError(NftError):
    """There is no libnftables."""


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise NftMissingError(
            f"{_LIBRARY} cannot be loaded ({error}): install the package libnftables1 (or nftables)"
        ) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("buffer_output", "buffer_error"):
        getattr(library, f"nft_ctx_{name}").argtypes = [ctypes.c_void_p]
    for name in ("get_output_buffer", "get_error_buffer"):
        function = getattr(library, f"nft_ctx_{name}")
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_char_p
    return library


class Nft:
    """Runs commands in the network namespace in which it was made."""

    def __init__(self) -> None:
        """Open it; raises NftMissingError."""
        self._library = _load()
        self._lock = threading.Lock()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise NftError(f"{_LIBRARY} gives no context: this needs root (CAP_NET_ADMIN)")
        self._library.nft_ctx_output_set_flags(self._context, _JSON_OUTPUT)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def close(self) -> None:
        """Free it; nothing may be run afterwards."""
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = None

    def run(self, commands: str) -> str:
        """Run commands as one transaction, all or nothing; raises NftError with what nft says.

        Returns what they print (JSON).
        """
        with self._lock:
            if not self._context:
                raise NftError("nft was closed")
            status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context) or b""
            refusal = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if status:
            raise NftError(f"nft refuses: {refusal.decode(errors='replace').strip()}")
        return str(output.decode(errors="replace"))

    def list_elements(self, table: str, name: str, kind: str = "set") -> list[Json]:
        """Return the elements of a set or map (`kind`) as libnftables-json(5) writes them."""
        answer = self.run(f"list {kind} {table} {name}")
        for item in json.loads(answer)["nftables"]:
            if kind in item:
                elements: list[Json] = item[kind].get("elem", [])
                return elements
        return []
