"""What happens to files in an SFTP session: a reader of both directions that changes neither.

Version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions (its PROTOCOL, §4). Knows no SSH: it is given what
the client writes into the channel and what the server answers, however it is cut.
"""

from collections.abc import Callable

from hoopproxy.events import Transferred
from hoopproxy.model import Side
from hoopproxy.wire.ssh.in_order import InOrder, Room
from hoopproxy.wire.ssh.packets import Splitter
from hoopproxy.wire.ssh.sftp_packets import (
    Fields,
    Type,
    opened_for,
    opened_how,
    printable,
    wrong,
)
from hoopproxy.wire.ssh.sftp_requests import (
    TOLD_ANYTHING,
    TOLD_ATTRS,
    TOLD_NAME,
    Change,
    Close,
    Open,
    Opened,
    Quiet,
    Read,
    Request,
    Write,
)

VERSION_FOLLOWED = 3

HANDLES_MAX = 1024
"""Files and directories open at the same time. OpenSSH's server allows as many as the usual RLIMIT_NOFILE, 1024."""

REQUESTS_MAX = 4096
"""Requests without an answer. OpenSSH's client keeps 64, rclone and sshfs some hundreds."""

HANDLE_BYTES_MAX = 256
"""Draft 02, §6.3."""

WAITING_BYTES_MAX = 4_194_304
"""Bytes that came before those that precede them in a file: twice what OpenSSH's client has under way (64 × 32 KiB)."""

QUIET = frozenset(
    (
        b"expand-path@openssh.com",
        b"fstatvfs@openssh.com",
        b"fsync@openssh.com",
        b"home-directory",
        b"limits@openssh.com",
        b"statvfs@openssh.com",
        b"users-groups-by-id@openssh.com",
    )
)
"""Extended requests that move no file's bytes and change nothing."""


class Sftp:
    """One SFTP session, the one that statement `statement_number` runs.

    `sent` and `answered` return what is complete with these bytes; both raise ProtocolViolation, after which the reader
    is dead.
    """

    def __init__(
        self,
        statement_number: int,
        *,
        handles_max: int = HANDLES_MAX,
        requests_max: int = REQUESTS_MAX,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._number = statement_number
        self._handles_max = handles_max
        self._requests_max = requests_max
        self._room = Room(waiting_bytes_max)
        self._from_client = Splitter(Side.CLIENT)
        self._from_server = Splitter(Side.SERVER)
        self._has_begun = False
        self._is_agreed = False
        self._requests: dict[int, Request] = {}
        self._handles: dict[bytes, Opened] = {}
        self._opening = 0
        self._told: list[Transferred] = []

    def sent(self, data: bytes) -> tuple[Transferred, ...]:
        """What the client wrote into the channel."""
        self._from_client.append(data)
        while (packet := self._from_client.next()) is not None:
            self._asked(Fields(Side.CLIENT, packet))
        return self._take()

    def answered(self, data: bytes) -> tuple[Transferred, ...]:
        """What the server wrote into it."""
        self._from_server.append(data)
        while (packet := self._from_server.next()) is not None:
            self._answer(Fields(Side.SERVER, packet))
        return self._take()

    def end(self) -> tuple[Transferred, ...]:
        """The channel is closed: what was left open or without an answer."""
        left = list(self._handles.values())
        for request in self._requests.values():
            match request:
                case Change() | Open():
                    self._tell(request, "not answered")
                case Write(opened):
                    opened.writes.spoil()
                    left.append(opened)
                case Read(opened) | Close(opened):
                    left.append(opened)
        for opened in {id(one): one for one in left}.values():
            self._tell_bytes(opened, "not closed" if opened.outcome is None else opened.outcome)
        self._requests.clear()
        self._handles.clear()
        return self._take()

    def _take(self) -> tuple[Transferred, ...]:
        told, self._told = tuple(self._told), []
        return told

    # Requests ------------------------------------------------------------------------------------------------------

    def _asked(self, fields: Fields) -> None:
        if not self._has_begun:
            if fields.type != Type.INIT:
                raise wrong(Side.CLIENT, "it does not begin with INIT")
            fields.number()
            self._has_begun = True
            return
        if (read := _REQUESTS.get(fields.type)) is None:
            raise wrong(Side.CLIENT, f"there is no request of type {fields.type}")
        number = fields.number()
        if number in self._requests:
            raise wrong(Side.CLIENT, "a request has the number of one that waits for its answer")
        if len(self._requests) >= self._requests_max:
            raise wrong(Side.CLIENT, f"more than {self._requests_max} requests wait for their answers")
        self._requests[number] = read(self, fields)

    def _open(self, fields: Fields) -> Request:
        path, flags = fields.path(), fields.number()
        fields.attributes()
        return self._opens(Open(path, flags, is_directory=False))

    def _opendir(self, fields: Fields) -> Request:
        return self._opens(Open(fields.path(), 0, is_directory=True))

    def _opens(self, request: Open) -> Open:
        self._opening += 1
        if self._opening + len(self._handles) > self._handles_max:
            raise wrong(Side.CLIENT, f"more than {self._handles_max} files are open")
        return request

    def _close(self, fields: Fields) -> Request:
        handle = bytes(fields.string())
        opened = self._opened(handle)
        del self._handles[handle]  # whether or not the server can close it: it is of no use any more
        return Close(opened)

    def _read(self, fields: Fields) -> Request:
        opened = self._file(fields)
        offset, length = fields.long(), fields.number()
        opened.reads.begin(offset)
        opened.under_way += 1
        return Read(opened, offset, length)

    def _write(self, fields: Fields) -> Request:
        opened = self._file(fields)
        offset, data = fields.long(), fields.string()
        opened.writes.add(offset, data)
        opened.under_way += 1
        return Write(opened, len(data))

    def _setstat(self, fields: Fields) -> Request:
        return Change("setstat", fields.path(), detail=fields.attributes())

    def _fsetstat(self, fields: Fields) -> Request:
        opened = self._opened(bytes(fields.string()))
        return Change("setstat", opened.path, detail=fields.attributes())

    def _mkdir(self, fields: Fields) -> Request:
        return Change("mkdir", fields.path(), detail=fields.attributes())

    def _fstat(self, fields: Fields) -> Request:
        self._opened(bytes(fields.string()))
        return Quiet(TOLD_ATTRS)

    def _readdir(self, fields: Fields) -> Request:
        self._opened(bytes(fields.string()))
        return Quiet(TOLD_NAME)

    def _extended(self, fields: Fields) -> Request:
        name = bytes(fields.string())
        match name:
            case b"posix-rename@openssh.com":
                return Change("rename", fields.path(), fields.path())
            case b"hardlink@openssh.com":
                return Change("hardlink", fields.path(), fields.path())
            case b"lsetstat@openssh.com":
                return self._setstat(fields)
            case b"copy-data":
                source = self._file(fields)
                (_, length) = fields.long(), fields.long()
                detail = "" if length else "to the end"
                return Change("copy", source.path, self._file(fields).path, length, detail)
            case _ if name in QUIET:
                return Quiet(TOLD_ANYTHING)
        return Change(f"extended {printable(name)}", "", answers=TOLD_ANYTHING)

    def _opened(self, handle: bytes) -> Opened:
        if (opened := self._handles.get(handle)) is None:
            raise wrong(Side.CLIENT, "it uses a handle that the server did not give it")
        return opened

    def _file(self, fields: Fields) -> Opened:
        opened = self._opened(bytes(fields.string()))
        if opened.is_directory:
            raise wrong(Side.CLIENT, "it uses a directory's handle as a file's")
        return opened

    # Answers -------------------------------------------------------------------------------------------------------

    def _answer(self, fields: Fields) -> None:
        if not self._is_agreed:
            if not self._has_begun or fields.type != Type.VERSION:
                raise wrong(Side.SERVER, "it does not begin with VERSION, after the client's INIT")
            if (version := fields.number()) != VERSION_FOLLOWED:
                raise wrong(
                    Side.SERVER, f"its version is {version}; the gateway follows version {VERSION_FOLLOWED} alone"
                )
            self._is_agreed = True
            return
        request = self._requests.pop(fields.number(), None)
        if request is None:
            raise wrong(Side.SERVER, "it answers a request that nobody made")
        if fields.type not in request.answers:
            raise wrong(Side.SERVER, f"an answer of type {fields.type} does not fit its request")
        match request:
            case Read(opened):
                if fields.type == Type.DATA:
                    self._data(request, fields.string())
                self._settle(opened)
            case Write(opened, length):
                if fields.status() == "ok":
                    opened.written_bytes += length
                else:
                    opened.writes.spoil()
                self._settle(opened)
            case Close(opened):
                opened.outcome = fields.status()
                self._finish(opened)
            case Open():
                self._opening -= 1
                if fields.type == Type.HANDLE:
                    self._hold(request, bytes(fields.string()))
                else:
                    self._tell(request, fields.status())
            case Change():
                self._tell(request, fields.status() if fields.type == Type.STATUS else "ok")

    def _data(self, request: Read, data: memoryview) -> None:
        if len(data) > request.length:
            raise wrong(Side.SERVER, "it answers with more bytes than were asked for")
        request.opened.read_bytes += len(data)
        request.opened.reads.add(request.offset, data)

    def _hold(self, request: Open, handle: bytes) -> None:
        if handle in self._handles or len(handle) > HANDLE_BYTES_MAX:
            raise wrong(Side.SERVER, "it gives a handle twice, or one that is too long")
        self._handles[handle] = Opened(
            request.path, request.flags, request.is_directory, InOrder(self._room), InOrder(self._room)
        )
        if request.is_directory:
            self._tell(request, "ok")

    def _settle(self, opened: Opened) -> None:
        opened.under_way -= 1
        self._finish(opened)

    def _finish(self, opened: Opened) -> None:
        """Answers may overtake each other: a file is done with once it is closed and its last bytes are there."""
        if opened.outcome is not None and not opened.under_way:
            self._tell_bytes(opened, opened.outcome)

    # Records -------------------------------------------------------------------------------------------------------

    def _tell(self, request: Change | Open, outcome: str) -> None:
        match request:
            case Open(path, flags, is_directory):
                operation = "list" if is_directory else opened_for(flags)
                told = Transferred(
                    self._number, operation, path, outcome=outcome, detail="" if is_directory else opened_how(flags)
                )
            case Change(operation, path, new_path, bytes_count, detail):
                moved = bytes_count if outcome == "ok" else 0
                told = Transferred(
                    self._number, operation, path, new_path, bytes_count=moved, outcome=outcome, detail=detail
                )
        self._told.append(told)

    def _tell_bytes(self, opened: Opened, outcome: str) -> None:
        """One record for each direction in which bytes went; where none did, for what it was opened."""
        if opened.is_directory:
            return
        went = {"read": (opened.read_bytes, opened.reads), "write": (opened.written_bytes, opened.writes)}
        did = {name: way for name, way in went.items() if way[0]}
        unused = opened_for(opened.flags)
        for operation, (count, digest) in (did or {unused: went[unused]}).items():
            told = Transferred(
                self._number,
                operation,
                opened.path,
                bytes_count=count,
                sha256=digest.result(),
                outcome=outcome,
                detail=opened_how(opened.flags),
            )
            self._told.append(told)


def _stat(_: Sftp, fields: Fields) -> Request:
    fields.path()
    return Quiet(TOLD_ATTRS)


def _named(_: Sftp, fields: Fields) -> Request:
    fields.path()
    return Quiet(TOLD_NAME)


def _changes_one(operation: str) -> Callable[[Sftp, Fields], Request]:
    return lambda _, fields: Change(operation, fields.path())


def _changes_two(operation: str) -> Callable[[Sftp, Fields], Request]:
    return lambda _, fields: Change(operation, fields.path(), fields.path())


_REQUESTS: dict[int, Callable[[Sftp, Fields], Request]] = {
    Type.OPEN: Sftp._open,
    Type.CLOSE: Sftp._close,
    Type.READ: Sftp._read,
    Type.WRITE: Sftp._write,
    Type.LSTAT: _stat,
    Type.FSTAT: Sftp._fstat,
    Type.SETSTAT: Sftp._setstat,
    Type.FSETSTAT: Sftp._fsetstat,
    Type.OPENDIR: Sftp._opendir,
    Type.READDIR: Sftp._readdir,
    Type.REMOVE: _changes_one("remove"),
    Type.MKDIR: Sftp._mkdir,
    Type.RMDIR: _changes_one("rmdir"),
    Type.REALPATH: _named,
    Type.STAT: _stat,
    Type.RENAME: _changes_two("rename"),
    Type.READLINK: _named,
    # OpenSSH takes the two the other way round than the draft says, and so does everybody since: the target first.
    Type.SYMLINK: _changes_two("symlink"),
    Type.EXTENDED: Sftp._extended,
}
