"""The project: wiring, settings, and what everyone shares."""
