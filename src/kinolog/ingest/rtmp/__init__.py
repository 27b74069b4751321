"""RTMP ingest: OBS, ffmpeg and the like publish to `rtmp://host/{collection}/{stream}`."""

from kinolog.ingest.rtmp.link import server_tls
from kinolog.ingest.rtmp.server import RtmpServer
from kinolog.ingest.rtmp.session import RtmpSettings

__all__ = ["RtmpServer", "RtmpSettings", "server_tls"]
