"""``python -m advplug``: the command line."""

from advplug.cli import main

if __name__ == "__main__":
    main()
