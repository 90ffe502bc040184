"""Serve a clip over RTSP, in real time and over and over. Run with the system's Python.

    /usr/bin/python3 rtsp_server.py CLIP PORT [USER PASSWORD]

Serves rtsp://127.0.0.1:PORT/cam and prints "ready" once it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions are chosen above


def main(clip: str, port: str, *credentials: str) -> None:
    """Serve until killed."""
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( filesrc location="{clip}" ! qtdemux ! h264parse ! '
        "rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if credentials:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*credentials), token)
        server.set_auth(auth)
        access = GstRtspServer.RTSPPermissions()
        access.add_permission_for_role("viewer", "media.factory.access", True)
        access.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(access)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
