"""The way to targets: judged literals, handshakes, logins. Never sees the client."""
