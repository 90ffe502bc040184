"""A camera on the network that speaks HTTP."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from edgeapp.core.opencv import cv2


@contextmanager
def motion_jpeg(
    pictures: int, then: threading.Event, *, grey: int = 99, period_s: float = 0.0
) -> Iterator[str]:
    """An HTTP camera that sends so many JPEGs, waits for `then`, and hangs up; its address."""
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))[1].tobytes()

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            with suppress(ConnectionError):  # whoever looked at it went away
                for _ in range(pictures):
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                    if period_s and then.wait(period_s):
                        break
            then.wait(100)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        then.set()
        server.shutdown()
        thread.join()
        server.server_close()
