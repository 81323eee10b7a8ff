"""The commands of the `atomic` CLI, one module per command group."""
