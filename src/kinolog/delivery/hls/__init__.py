"""HLS and LL-HLS: playlists as pure functions of a track's version, and what requests may ask."""
