"""Delivery: the publish path, the hub, and the output of each socket."""
