"""`python -m tests.serve PORT`: `manage.py beam_serve` for `tests.processes`."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beam.settings")
    execute_from_command_line(["manage.py", "beam_serve", "--port", sys.argv[1]])
