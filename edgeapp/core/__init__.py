"""What every other part stands on: packets, payloads, stage protocols, clocks, links, meters."""
