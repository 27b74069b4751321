"""An RTSP camera: GStreamer's RTSP server in a process of its own, which a test may kill."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from kit.server import HOST, free_ports, wait_for

LIBRARY = "libgstrtspserver-1.0.so.0"
# Through ctypes: GStreamer's own binding is for the system's Python, which may be another one.
_CAMERA = """
import ctypes, sys
host, port, launch = (text.encode() for text in sys.argv[1:])
gst, rtsp, glib = map(ctypes.CDLL, (
    "libgstreamer-1.0.so.0", "libgstrtspserver-1.0.so.0", "libglib-2.0.so.0"
))
def call(library, name, *arguments):
    function = getattr(library, name)
    function.restype = ctypes.c_void_p
    return function(*[ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments])
call(gst, "gst_init", None, None)
server = call(rtsp, "gst_rtsp_server_new")
call(rtsp, "gst_rtsp_server_set_address", server, host)
call(rtsp, "gst_rtsp_server_set_service", server, port)
factory = call(rtsp, "gst_rtsp_media_factory_new")
call(rtsp, "gst_rtsp_media_factory_set_launch", factory, launch)
mounts = call(rtsp, "gst_rtsp_server_get_mount_points", server)
call(rtsp, "gst_rtsp_mount_points_add_factory", mounts, b"/camera", factory)
assert call(rtsp, "gst_rtsp_server_attach", server, None)
call(glib, "g_main_loop_run", call(glib, "g_main_loop_new", None, 0))
"""


class RtspCamera:
    """Shows a Matroska file of H.264 from its beginning to each who connects, at its own pace."""

    def __init__(self, film: Path) -> None:
        (self._port,) = free_ports(1)
        self._film = film
        self.url = f"rtsp://{HOST}:{self._port}/camera"
        self.start()

    def start(self) -> None:
        """Listen, on the same port each time."""
        read = f"filesrc location={self._film} ! matroskademux"
        launch = f"( {read} ! h264parse ! rtph264pay name=pay0 )"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CAMERA, HOST, str(self._port), launch]
        )
        wait_for(self._listens, "the camera's port")

    def kill(self) -> None:
        """kill -9, as when the power fails."""
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Stop answering, with the connection open, as when the cable is pulled."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the camera died"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0
