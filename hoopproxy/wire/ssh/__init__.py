"""SSH: the connection protocol (RFC 4254) as a machine, over packets that others decrypt."""
