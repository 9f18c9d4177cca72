"""A client of HTTP/2 that sends what a good one would not."""

import socket
import ssl

import h2.config
import h2.connection
import h2.events

from .conftest import HttpStand


class H2Client:
    """A connection to the gateway for one target; a context manager."""

    def __init__(self, stand: HttpStand, target: str) -> None:
        way = stand.reverse(target)
        tls = way.tls
        tls.set_alpn_protocols(["h2"])
        self._socket = tls.wrap_socket(socket.create_connection(way.address, 30), server_hostname=way.host)
        self._machine = h2.connection.H2Connection(
            h2.config.H2Configuration(
                validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
            )
        )
        self._machine.initiate_connection()
        pseudo = {":method": "POST", ":scheme": "https", ":authority": way.netloc, ":path": "/upload"}
        self._usual = [*pseudo.items(), ("authorization", f"Bearer {way.token}")]

    def __enter__(self) -> "H2Client":
        return self

    def __exit__(self, *why: object) -> None:
        self._socket.close()

    def ask(self, fields: list[tuple[str, str]], body: bytes = b"") -> str:
        """Its status; or `reset`, or `gone` for the whole connection. Pseudo-fields come in place of the usual ones."""
        instead = fields if fields and fields[0][0].startswith(":") else []
        usual = [field for field in self._usual if field[0] not in dict(instead)]
        headers = [*instead, *usual, *([] if instead else fields)]
        stream = self._machine.get_next_available_stream_id()
        self._machine.send_headers(stream, headers, end_stream=not body)
        if body:
            self._machine.send_data(stream, body, end_stream=True)
        try:
            self._socket.sendall(self._machine.data_to_send())
            while data := self._socket.recv(1 << 16):
                for event in self._machine.receive_data(data):
                    match event:
                        case h2.events.ResponseReceived(stream_id=number, headers=headers) if number == stream:
                            return str(dict(headers or ())[":status"])
                        case h2.events.StreamReset(stream_id=number) if number == stream:
                            return "reset"
                        case h2.events.ConnectionTerminated():
                            return "gone"
                self._socket.sendall(self._machine.data_to_send())
        except (ConnectionError, ssl.SSLError):
            pass
        return "gone"
