"""DASH and LL-DASH: manifests over the same media as HLS."""
