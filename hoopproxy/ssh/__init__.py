"""SSH's transport (RFC 4253) over one of our connections: keys, packets, and who may say what when."""
