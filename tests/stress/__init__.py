"""`make stress`: a cluster under failures, and whether Beam keeps its promises."""
