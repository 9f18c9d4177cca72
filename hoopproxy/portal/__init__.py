"""What people reach in a browser or from a laptop, over HTTPS: sign-in, and requests for access."""
