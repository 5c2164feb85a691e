"""`python -m transload.cli`: the command line where its script is not on the path."""

from transload.cli import main

main()
