"""`make stress`: a deployment with failures, and whether Beam keeps its promises."""
