"""python -m rectrain: the command line."""

from rectrain.cli import main

main()
