"""The child process of the embedded broker: run as a file, with a configuration as argument.

It ends when its standard input closes, as it does when the parent is gone.
"""

import logging
import os
import sys
import threading


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Run the broker until the process is terminated."""
    from iotcore import IotCoreBroker

    logging.disable()  # rumqttd logs every packet it routes as an error
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
