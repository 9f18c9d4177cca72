"""Client connections: sockets, client-side TLS and each protocol's handshake. Never sees a target's secret."""
