"""What the command line does, one module per command: each adds its arguments and runs."""
