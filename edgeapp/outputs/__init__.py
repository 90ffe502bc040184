"""Where results go. `bodies` is the contract; each other module is one output."""
