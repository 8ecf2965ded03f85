"""Beam's pages in Django admin: rooms, API keys, the live view."""
