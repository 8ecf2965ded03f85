"""The benchmark suite: Beam beside its peers, in one run on one machine."""
