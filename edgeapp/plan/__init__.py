"""From checked configuration to a graph that the runtime can run. Nothing opens here."""
