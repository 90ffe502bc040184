"""Makes these the `tests` that are found: packages that the tests need install one of their own."""
