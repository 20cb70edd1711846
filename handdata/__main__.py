"""Run the command line as `python -m handdata`."""

from handdata.cli import main

if __name__ == "__main__":
    main()
