#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists what Beam adds."""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - so that it is said in one line
        sys.exit("Beam needs Python 3.11 or later; see `make install`.")
    try:
        from beam.config.command_line import main
    except ModuleNotFoundError as error:
        sys.exit(
            f"{error.name} is not installed for {sys.executable}: "
            "run `make install`, and use .venv/bin/python manage.py"
        )
    main(sys.argv)
