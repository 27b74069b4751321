"""Tools for counting frames at a viewer: the other end of the synthetic camera.

seen = read_block_codes("recording.mp4")
print(compare(range(900), seen))
"""

from kinolog.testing.av_sync import measure_av_sync
from kinolog.testing.frames import FrameSeen, read_block_codes
from kinolog.testing.ledger import FrameLedger, Report, compare
from kinolog.testing.recording import record

__all__ = [
    "FrameLedger",
    "FrameSeen",
    "Report",
    "compare",
    "measure_av_sync",
    "read_block_codes",
    "record",
]
