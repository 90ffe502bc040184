"""What `edgeapp doctor` looks at: one device, check by check, each with what puts it right.

`case.py` says what is known when it begins, `examine.py` goes through the checks. Each check is a
function from a `Case` to its findings; they are grouped by what they are about. What they ask of the
machine goes through `machine.py`, so that tests show them other machines.
"""
