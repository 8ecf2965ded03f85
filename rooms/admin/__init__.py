"""Django admin's pages of Beam: rooms, API keys, the live view."""
