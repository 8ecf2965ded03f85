"""The REST API: DRF views in the event loop that serves the sockets."""
