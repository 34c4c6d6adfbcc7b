"""Where `./tidings up` keeps things inside the state folder."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError

#: All that any program of ours puts right into the state folder; the database is several files.
_KEPT = frozenset({"local.json", "operator-token", "up.lock", "run", "logs", "rabbitmq", "mailbox", "results"})
_DATABASE = "tidings.db"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below one state folder, which must be absolute: programs are started elsewhere."""

    folder: Path

    @property
    def record(self) -> Path:
        """Addresses, passwords and processes of what runs (`Settings.local_file`)."""
        return self.folder / "local.json"

    @property
    def lock(self) -> Path:
        """Locked by `up` as long as it runs; never removed, else two could hold it."""
        return self.folder / "up.lock"

    @property
    def supervisor(self) -> Path:
        """Pid file of `up` itself."""
        return self.folder / "run" / "up.pid"

    @property
    def rabbitmq(self) -> Path:
        """Folder of the private node."""
        return self.folder / "rabbitmq"

    @property
    def mailbox(self) -> Path:
        """Folder of the mails that the built-in sink took."""
        return self.folder / "mailbox"

    def pid_file(self, name: str) -> Path:
        """Which process a program is."""
        return self.folder / "run" / f"{name}.pid"

    def log(self, name: str) -> Path:
        """What a program said since a detached `up`."""
        return self.folder / "logs" / f"{name}.log"

    def make(self) -> "Places":
        """Make the folders; the state folder is for its owner only, as it will hold mails and passwords.

        Raises:
            ConfigurationError: they cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._keep_private()
            for path in (self.supervisor, self.log("up")):
                path.parent.mkdir(exist_ok=True)
            self.lock.touch(mode=0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{self.folder} cannot be used ({error.strerror}): set TIDINGS_STATE_DIR."
            ) from None
        return self

    def _keep_private(self) -> None:
        """Mend the mode of a folder that others may enter, unless it is one that we merely have our things in."""
        state = self.folder.stat()
        names = [path.name for path in self.folder.iterdir()]
        only_ours = all(name in _KEPT or name.startswith(_DATABASE) for name in names)
        if only_ours and state.st_uid == os.geteuid() and stat.S_IMODE(state.st_mode) & 0o077:
            self.folder.chmod(0o700)
