"""A device that is only calculated: heat, load and faulty sensors, for the governor to be tried on.

Independent of the governor's own model on purpose. Nothing here is loaded by a run.
"""
