"""`python -m kinolog`."""

from kinolog.cli import main

main()
