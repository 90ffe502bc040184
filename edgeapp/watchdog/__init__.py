"""What this device can bear, and what runs on it because of that.

The core is pure: `Governor` is built from ladders, limits, what is believed of the device and a clock;
each second it is told what the device says (`Reading`) and what the application did (`Work`), and
answers with a `Decision`. Nothing in it reads a file. Begin with `governor.py`.
"""
