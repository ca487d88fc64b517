"""One grammar for all commands: what an option is called, what it takes, and what the shell completes."""
