"""Home Assistant's MQTT device discovery: one retained message says what this device has.

`payload` puts it together, from what `pipelines` (what can be steered) and `results` (what outputs
say) read out of the plans; both are pure. `announce` publishes it, and takes it back. What is relied
upon of Home Assistant stands, with its source, in the tests.
"""
