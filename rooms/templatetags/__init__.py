"""Template filters.

- `beam_time`: Unix times
"""
