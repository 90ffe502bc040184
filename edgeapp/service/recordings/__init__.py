"""Recordings, replays and test cases: what sources gave, kept and played again."""
