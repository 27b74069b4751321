"""The players' side: edges that hold no state another edge lacks (DESIGN.md section 4)."""
