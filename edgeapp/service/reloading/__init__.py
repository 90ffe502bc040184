"""Going over to changed files while the application runs."""
