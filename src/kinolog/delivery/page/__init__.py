"""The web page: the built files of `web/`, held in memory and looked up by path."""

from kinolog.delivery.page.static import CONTENT_SECURITY_POLICY, Page, StaticFile

__all__ = ["CONTENT_SECURITY_POLICY", "Page", "StaticFile"]
