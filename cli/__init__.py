"""The `penstock` command: one thin file per command, each of which reads settings, calls one part, and prints.

Words: *command* (a function that Typer turns into a command line), *table* (what a person reads; `--json` gives the
same to a program). Nothing is computed here.
"""
