"""Pure media code: tracks and packets, CMAF boxes, codec strings, parameter sets."""
