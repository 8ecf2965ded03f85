"""The server: daphne with Beam's WebSocket protocol, limits and shutdown."""
