"""The benchmark suite: Beam and other servers, in one run on one machine."""
