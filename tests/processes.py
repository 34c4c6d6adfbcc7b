"""What the system says of running processes (Linux): which belong to a folder, and where they listen."""

import ipaddress
import struct
from pathlib import Path

_LISTEN = "0A"


def of_folder(folder: Path) -> set[int]:
    """Processes whose environment or command line names the folder."""
    return {pid for pid in _all() if str(folder).encode() in _read(pid, "environ") + _read(pid, "cmdline")}


def listeners(pids: set[int]) -> set[tuple[str, int]]:
    """Addresses and ports on which these processes accept TCP connections."""
    sockets = {link for pid in pids for link in _links(pid)}
    return {where for inode, where in _listening() if f"socket:[{inode}]" in sockets}


def _all() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # gone meanwhile
        return b""


def _links(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(path.readlink()))
        except OSError:  # closed meanwhile
            continue
    return found


def _listening() -> list[tuple[str, tuple[str, int]]]:
    """Inode and address of each listening socket: proc_net_tcp(5)."""
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [(fields[9], _address(fields[1])) for fields in lines if fields[3] == _LISTEN]


def _address(text: str) -> tuple[str, int]:
    """The kernel writes an address as words in the machine's byte order."""
    words, _, port = text.partition(":")
    parts = [words[at : at + 8] for at in range(0, len(words), 8)]
    raw = b"".join(struct.pack("=I", int(part, 16)) for part in parts)
    return str(ipaddress.ip_address(raw)), int(port, 16)
