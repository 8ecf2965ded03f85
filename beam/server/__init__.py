"""The server: daphne with Beam's protocol, limits and way to stop."""
