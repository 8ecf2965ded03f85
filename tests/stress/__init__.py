"""`make stress`: a cluster in bad weather, and whether Beam keeps its promises."""
