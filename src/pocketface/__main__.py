"""`python -m pocketface`."""

from pocketface.cli.main import main

main()
