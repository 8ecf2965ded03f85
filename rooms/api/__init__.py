"""The HTTP door for backends: DRF views, in the event loop that serves the sockets."""
